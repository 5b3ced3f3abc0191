"""Shapes-LT, ResNet-8, RIDE with three experts, Balanced Softmax + NBN + LR.

    python tools/train.py configs/demo/cls_shapes_ride_bs_nbn.py

No row in the papers. Not measured here.
"""

_base_ = "../_base_/cls_demo_shapes_ride.py"

model = dict(
    backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"), positions="last_stage")),
    head=dict(
        predictor=dict(_delete_=True, type="RectifiedLinear"), loss=_base_.ride_balanced_softmax
    ),
)
