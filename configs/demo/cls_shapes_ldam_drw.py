"""Shapes-LT, ResNet-8, LDAM re-weighted in the last 40 % of the epochs (LDAM-DRW).

    python tools/train.py configs/demo/cls_shapes_ldam_drw.py

No row in the papers.
Not measured here.
"""

_base_ = "../_base_/cls_demo_shapes_ldam_drw.py"
