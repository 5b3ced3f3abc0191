"""Places-LT, ResNet-152 pretrained on ImageNet, Balanced Softmax.

    python tools/train.py configs/places_lt/places_r152_bs.py

No row in the papers (CBN's own, Table 6: 42.7).
Not measured here.
"""

_base_ = "../_base_/cls_places_lt_r152.py"

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss")))
