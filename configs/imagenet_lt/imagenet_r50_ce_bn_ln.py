"""ImageNet-LT, ResNet-50, cross entropy, layer norm after BN at NBN's positions.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_bn_ln.py

NBN paper Table XIII, ResNet-50+LN: 43.6 (few 11.5, medium 36.9, many 63.3).
Not measured here.
LN is group norm with one group: statistics over (C, H, W), weight and bias for each channel.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="BNThen", then=dict(type="GN", num_groups=1))))
