"""ImageNet, balanced, ResNet-50, cross entropy.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_balanced.py

NBN paper Table XI, Cross Entropy, ImageNet: 75.3.
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_r50.py"
