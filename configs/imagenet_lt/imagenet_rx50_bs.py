"""ImageNet-LT, ResNeXt-50-32x4d, Balanced Softmax.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_bs.py

NBN paper Tables II and XVII, Balanced Softmax: 51.1 (few 30.2, medium 48.1, many 62.3).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50.py"

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss")))
