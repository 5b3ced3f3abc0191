"""Shapes-LT, ResNet-8, RIDE with three experts.

    python tools/train.py configs/demo/cls_shapes_ride.py

No row in the papers. Measured, seeds 0 to 2: 79.4 ± 2.2 (many 91.0, medium 78.8, few 68.6). With
the same seeds cls_shapes_ce has 60.1 ± 1.4 (few 21.7).
"""

_base_ = "../_base_/cls_demo_shapes_ride.py"
