"""Digits-LT, ResNet-8, Balanced Softmax + CBN in the order of the paper's Sec. 3.1, literal=True.

    python tools/train.py configs/demo/cls_digits_cbn_literal.py

No row in the papers. Measured, 5 seeds: 86.5 ± 3.6 (few 87.2 ± 2.9). Paired with cls_digits_bs:
-1.7 ± 1.5. Mutual information of pixels and components: 0.65 log M.
"""

_base_ = "../_base_/cls_demo_digits.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4, literal=True)),
    head=dict(loss=dict(type="BalancedSoftmaxLoss")),
)
