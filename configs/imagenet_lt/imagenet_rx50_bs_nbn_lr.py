"""ImageNet-LT, ResNeXt-50-32x4d, Balanced Softmax + NBN + LR.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_bs_nbn_lr.py

NBN paper Tables II and XVII, Balanced Softmax + NBN + LR: 53.8 (few 33.4,
medium 50.9, many 64.6).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    head=dict(predictor=dict(type="RectifiedLinear"), loss=dict(type="BalancedSoftmaxLoss")),
)
