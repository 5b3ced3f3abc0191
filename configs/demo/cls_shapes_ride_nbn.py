"""Shapes-LT, ResNet-8, RIDE with three experts + NBN, a magnitude for each expert.

    python tools/train.py configs/demo/cls_shapes_ride_nbn.py

No row in the papers. Measured, seeds 0 to 2: 79.0 ± 0.8 (many 92.4, medium 77.3, few 67.9). Paired
with cls_shapes_ride that is -0.4 ± 0.8.
"""

_base_ = "../_base_/cls_demo_shapes_ride.py"

model = dict(
    backbone=dict(
        backbone=dict(
            _delete_=True,
            type="LTNormBackbone",
            backbone=_base_.model.backbone.backbone,
            norm_cfg=dict(type="NBN"),
        ),
    ),
)
