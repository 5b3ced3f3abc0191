"""iNaturalist 2018, ResNet-50, Balanced Softmax + NBN + LR.

    python tools/train.py configs/inat18/inat18_r50_bs_nbn_lr.py

NBN paper Table III, Balanced Softmax + Ours: 71.6 (few 71.3, medium 71.7, many 72.1).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    head=dict(predictor=dict(type="RectifiedLinear"), loss=dict(type="BalancedSoftmaxLoss")),
)
