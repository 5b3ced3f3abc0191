"""Digits-LT, ResNet-8, Balanced Softmax.

    python tools/train.py configs/demo/cls_digits_bs.py

No row in the papers.
Measured, 3 seeds: 87.2 ± 3.2 (few 83.2 ± 5.1, medium 92.6 ± 1.7).
"""

_base_ = "../_base_/cls_demo_digits.py"

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss", num_classes=_base_.num_classes)))
