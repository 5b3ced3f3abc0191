"""Shapes-LT, ResNet-8, RIDE with three experts, Balanced Softmax + NBN + LR.

    python tools/train.py configs/demo/cls_shapes_ride_bs_nbn.py

No row in the papers. Not measured here.
"""

_base_ = "../_base_/cls_demo_shapes_ride.py"

model = dict(
    backbone=dict(
        backbone=dict(
            _delete_=True,
            type="LTNormBackbone",
            backbone=_base_.model.backbone.backbone,
            norm_cfg=dict(type="NBN"),
            positions="last_stage",
        ),
    ),
    head=dict(
        predictor=dict(_delete_=True, type="RectifiedLinear"),
        loss=dict(
            _delete_=True,
            type="RIDELoss",
            num_classes=_base_.num_classes,
            temperature_strength=0,
            loss=dict(type="BalancedSoftmaxLoss", num_classes=_base_.num_classes),
        ),
    ),
)
