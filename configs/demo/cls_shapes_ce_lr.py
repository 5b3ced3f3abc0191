"""Shapes-LT, ResNet-8, cross entropy + LR.

    python tools/train.py configs/demo/cls_shapes_ce_lr.py

No row in the papers.
Not measured here.
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(head=dict(predictor=dict(type="RectifiedLinear")))
