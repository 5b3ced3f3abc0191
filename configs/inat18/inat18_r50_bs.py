"""iNaturalist 2018, ResNet-50, Balanced Softmax.

    python tools/train.py configs/inat18/inat18_r50_bs.py

NBN paper Table III, Balanced Softmax: 69.8 (few 69.7, medium 70.1, many 69.2).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50.py"

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss")))
