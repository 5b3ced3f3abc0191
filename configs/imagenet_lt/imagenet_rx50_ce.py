"""ImageNet-LT, ResNeXt-50-32x4d, cross entropy.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_ce.py

NBN paper Tables II and XVII, Cross Entropy: 45.8 (few 9.0, medium 39.0, many 67.2).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50.py"
