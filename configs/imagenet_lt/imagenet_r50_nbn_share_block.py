"""ImageNet-LT, ResNet-50, cross entropy, ablation of NBN: one g for each residual block.

    python tools/train.py configs/imagenet_lt/imagenet_r50_nbn_share_block.py

NBN paper Table VII, partially sharing: 46.1 (few 10.8, medium 39.3, many 67.0).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN"), share="block"))
