"""Shapes-LT, ResNet-8, RIDE with three experts and its cosine classifiers + NBN.

    python tools/train.py configs/demo/cls_shapes_ride_nbn_cosine.py

No row in the papers. Measured, 5 seeds: 79.7 ± 1.1 (few 68.6 ± 1.5). Paired with cls_shapes_ride:
+0.3 ± 0.7 (few +0.1 ± 1.0).
"""

_base_ = "../_base_/cls_demo_shapes_ride.py"

model = dict(backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"))))
