"""ImageNet-LT, ResNet-50, Balanced Softmax.

    python tools/train.py configs/imagenet_lt/imagenet_r50_bs.py

NBN paper Table XV, Balanced Softmax: 48.8.
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss")))
