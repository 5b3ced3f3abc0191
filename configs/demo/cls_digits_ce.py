"""Digits-LT, ResNet-8, cross entropy.

    python tools/train.py configs/demo/cls_digits_ce.py

No row in the papers.
Measured, 3 seeds: 81.7 ± 0.8 (few 71.0 ± 1.9, medium 96.8 ± 0.8).
"""

_base_ = "../_base_/cls_demo_digits.py"
