"""Digits-LT, ResNet-8, Balanced Softmax + CBN in all layers, temperature √C.

    python tools/train.py configs/demo/cls_digits_cbn_all.py

No row in the papers.
Not measured here.
"""

_base_ = "../_base_/cls_demo_digits.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4, temperature="sqrt_channels")),
    head=dict(loss=dict(type="BalancedSoftmaxLoss", num_classes=_base_.num_classes)),
)
