"""Shapes-LT, ResNet-8, cross entropy + LR.

    python tools/train.py configs/demo/cls_shapes_ce_lr.py

No row in the papers.
Measured, 3 seeds: 55.6 ± 1.6 (few 21.0 ± 1.5, medium 54.8 ± 1.2, many 91.3 ± 3.5).
With the same seeds cls_shapes_ce has 60.1 ± 1.4.
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(head=dict(predictor=dict(type="RectifiedLinear")))
