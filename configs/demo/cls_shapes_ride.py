"""Shapes-LT, ResNet-8, RIDE with three experts.

    python tools/train.py configs/demo/cls_shapes_ride.py

No row in the papers.
Not measured here.
"""

_base_ = "../_base_/cls_demo_shapes_ride.py"
