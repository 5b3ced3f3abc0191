"""ImageNet, balanced, ResNet-50, cross entropy + NBN.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_nbn_balanced.py

NBN paper Table XI, Ours, ImageNet: 75.7.
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
