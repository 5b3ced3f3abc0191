"""ImageNet-LT, ResNet-50, cross entropy, instance norm after BN at NBN's positions.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_bn_in.py

NBN paper Table XIII, ResNet-50+IN: 27.8 (few 0.2, medium 15.1, many 53.3).
Not measured here.
IN has a weight and a bias for each channel, as BN has; the paper does not say.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="BNThen", then=dict(type="IN", affine=True))))
