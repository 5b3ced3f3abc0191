"""ImageNet-LT, ResNet-50, cross entropy + NBN + LR.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_nbn_lr.py

NBN paper Table XV, Cross Entropy + NBN + LR: 48.8.
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")), head=dict(predictor=dict(type="RectifiedLinear"))
)
