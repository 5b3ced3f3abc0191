"""Shapes-LT, ResNet-8, BCL.

    python tools/train.py configs/demo/cls_shapes_bcl.py

No row in the papers.
Not measured here.
"""

_base_ = "../_base_/cls_demo_shapes_bcl.py"
