"""Places-LT, ResNet-152 pretrained on ImageNet, Balanced Softmax + NBN + LR.

    python tools/train.py configs/places_lt/places_r152_bs_nbn_lr.py

No row in the papers (CBN's own, Table 6: 42.7).
Not measured here.
"""

_base_ = "../_base_/cls_places_lt_r152.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    head=dict(predictor=dict(type="RectifiedLinear"), loss=dict(type="BalancedSoftmaxLoss")),
)
