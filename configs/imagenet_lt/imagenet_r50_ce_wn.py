"""ImageNet-LT, ResNet-50, cross entropy, weight norm on the convolutions before NBN's positions.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_wn.py

NBN paper Table X, WN: 42.0 (few 6.9, medium 34.4, many 63.8).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(type="WeightNormBackbone"))
