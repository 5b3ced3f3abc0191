"""ImageNet-LT, ResNeXt-50-32x4d, RIDE with four experts.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_ride.py

NBN paper Table II: 56.8 (few 36.0, medium 53.8, many 68.2).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50_ride.py"
