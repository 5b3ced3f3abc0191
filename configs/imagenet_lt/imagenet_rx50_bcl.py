"""ImageNet-LT, ResNeXt-50-32x4d, BCL.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_bcl.py

NBN paper Table II: 56.7 (few 36.5, medium 53.9, many 67.2).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50_bcl.py"
