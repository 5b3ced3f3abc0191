"""Digits-LT, ResNet-8, Balanced Softmax.

    python tools/train.py configs/demo/cls_digits_bs.py

MEASURED
"""

_base_ = "../_base_/cls_demo_digits.py"

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss", num_classes=_base_.num_classes)))
