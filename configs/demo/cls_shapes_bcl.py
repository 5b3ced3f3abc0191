"""Shapes-LT, ResNet-8, BCL.

    python tools/train.py configs/demo/cls_shapes_bcl.py

No row in the papers.
Measured, 3 seeds: 74.6 ± 0.9 (few 69.2, medium 69.5, many 86.9). Paired with cross entropy:
+14.5 ± 0.9 (few +47.6 ± 1.8); with Balanced Softmax: +4.0 ± 1.7 (few +7.7 ± 2.3).
"""

_base_ = "../_base_/cls_demo_shapes_bcl.py"
