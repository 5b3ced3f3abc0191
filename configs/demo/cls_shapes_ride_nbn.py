"""Shapes-LT, ResNet-8, RIDE with three experts + NBN + LR, a magnitude for each expert.

    python tools/train.py configs/demo/cls_shapes_ride_nbn.py

No row in the papers. Measured, 1 run: 75.7 (many 79.3, medium 74.2, few 74.0). NBN in all norms of
each expert's last stage, linear
classifiers with LR, as in the authors' code.
"""

_base_ = "../_base_/cls_demo_shapes_ride.py"

model = dict(
    backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"), positions="last_stage")),
    head=dict(predictor=dict(_delete_=True, type="RectifiedLinear")),
)
