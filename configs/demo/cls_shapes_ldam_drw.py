"""Shapes-LT, ResNet-8, LDAM re-weighted in the last 40 % of the epochs (LDAM-DRW).

    python tools/train.py configs/demo/cls_shapes_ldam_drw.py

No row in the papers. Measured, 5 seeds: 79.3 ± 2.1 (few 69.6 ± 3.6).
"""

_base_ = "../_base_/cls_demo_shapes_ldam_drw.py"
