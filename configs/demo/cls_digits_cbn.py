"""Digits-LT, ResNet-8, Balanced Softmax + CBN in the last norms.

    python tools/train.py configs/demo/cls_digits_cbn.py

No row in the papers.
Not measured here.
"""

_base_ = "../_base_/cls_demo_digits.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="CBN", num_components=4),
    ),
    head=dict(loss=dict(type="BalancedSoftmaxLoss", num_classes=_base_.num_classes)),
)
