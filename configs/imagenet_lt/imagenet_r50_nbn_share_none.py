"""ImageNet-LT, ResNet-50, cross entropy, ablation of NBN: one g for each layer.

    python tools/train.py configs/imagenet_lt/imagenet_r50_nbn_share_none.py

NBN paper Table VII, not sharing: 45.2 (few 8.8, medium 38.0, many 66.9).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN"), share="none"))
