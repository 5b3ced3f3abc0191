"""ImageNet-LT, ResNet-50, cross entropy, instance norm instead of BN at NBN's positions.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_in.py

NBN paper Table XIII, ResNet-50 (replace BN with IN): 27.9 (few 0.1, medium 15.4, many 53.4).
Not measured here.
IN has a weight and a bias for each channel, as BN has; the paper does not say.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="IN", affine=True)))
