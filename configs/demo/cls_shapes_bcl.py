"""Shapes-LT, ResNet-8, BCL.

    python tools/train.py configs/demo/cls_shapes_bcl.py

MEASURED
"""

_base_ = "../_base_/cls_demo_shapes_bcl.py"
