"""ImageNet-LT, ResNet-50, cross entropy, layer norm instead of BN at NBN's positions.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_ln.py

NBN paper Table XIII, ResNet-50 (replace BN with LN): 32.5 (few 4.9, medium 24.5, many 52.3).
Not measured here.
LN is group norm with one group: statistics over (C, H, W), weight and bias for each channel.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="GN", num_groups=1)))
