"""ImageNet-LT, ResNet-50, cross entropy.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce.py

NBN paper Tables IV and XV, Cross Entropy: 42.2 (few 6.3, medium 34.7, many 64.2).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"
