"""Shapes-LT, ResNet-8, Balanced Softmax.

    python tools/train.py configs/demo/cls_shapes_bs.py

No row in the papers.
Measured, 3 seeds: 70.2 ± 3.1 (few 59.3 ± 2.3, medium 65.8 ± 3.7, many 87.1 ± 4.4).
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss", num_classes=_base_.num_classes)))
