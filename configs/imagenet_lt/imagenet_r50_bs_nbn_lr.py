"""ImageNet-LT, ResNet-50, Balanced Softmax + NBN + LR.

    python tools/train.py configs/imagenet_lt/imagenet_r50_bs_nbn_lr.py

NBN paper Table XV, Balanced Softmax + NBN + LR: 53.0.
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    head=dict(predictor=dict(type="RectifiedLinear"), loss=dict(type="BalancedSoftmaxLoss")),
)
