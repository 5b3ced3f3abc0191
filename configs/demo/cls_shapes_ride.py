"""Shapes-LT, ResNet-8, RIDE with three experts.

    python tools/train.py configs/demo/cls_shapes_ride.py

Measured with seeds 0, 1, 2: 79.4 ± 2.2 (many 91.0, medium 78.8, few 68.6); cls_shapes_ce 60.1 ± 1.4
(96.3, 61.8, 21.7).
"""

_base_ = "../_base_/cls_demo_shapes_ride.py"
