"""Shapes-LT, ResNet-8, Balanced Softmax.

    python tools/train.py configs/demo/cls_shapes_bs.py

MEASURED
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss", num_classes=_base_.num_classes)))
