"""Digits-LT, ResNet-8, Balanced Softmax + CBN + SBN, dual-path learning.

    python tools/train.py configs/demo/cls_digits_cbn_dpl.py

No row in the papers. Measured, 5 seeds: 85.1 ± 1.1 (few 76.6 ± 1.6). Paired with
cls_digits_bs_strong: -5.1 ± 0.6, with 120 epochs for both +0.6 ± 0.6 (docs/cbn.md). Mutual
information of pixels and components: 0.82 log M.
"""

_base_ = "../_base_/cls_demo_digits.py"

model = dict(
    type="DualPathClassifier",
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4)),
    head=dict(loss=dict(type="BalancedSoftmaxLoss")),
)
train_dataloader = dict(dataset=dict(pipeline=_base_.dual_path_pipeline))
