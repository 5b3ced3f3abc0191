"""Shapes-LT, ResNet-8, Balanced Softmax + CBN + SBN, dual-path learning.

    python tools/train.py configs/demo/cls_shapes_cbn_dpl.py

No row in the papers. Measured, 5 seeds: 60.4 ± 3.2 (few 23.3 ± 9.6). Paired with
cls_shapes_bs_strong: -1.1 ± 1.4. Mutual information of pixels and components: 0.82 log M.
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(
    type="DualPathClassifier",
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4)),
    head=dict(loss=dict(type="BalancedSoftmaxLoss")),
)
train_dataloader = dict(dataset=dict(pipeline=_base_.dual_path_pipeline))
