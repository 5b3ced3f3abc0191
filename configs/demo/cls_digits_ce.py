"""Digits-LT, ResNet-8, cross entropy.

    python tools/train.py configs/demo/cls_digits_ce.py

No row in the papers.
Measured, 3 seeds: 81.5 ± 1.1 (few 70.8 ± 2.2, medium 96.5 ± 0.8).
"""

_base_ = "../_base_/cls_demo_digits.py"
