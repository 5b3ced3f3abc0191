"""Shapes-LT, ResNet-8, Balanced Softmax + NBN.

    python tools/train.py configs/demo/cls_shapes_bs_nbn.py

No row in the papers.
Not measured here.
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="NBN"),
    ),
    head=dict(loss=dict(type="BalancedSoftmaxLoss", num_classes=_base_.num_classes)),
)
