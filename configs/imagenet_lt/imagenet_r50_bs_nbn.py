"""ImageNet-LT, ResNet-50, Balanced Softmax + NBN.

    python tools/train.py configs/imagenet_lt/imagenet_r50_bs_nbn.py

NBN paper Table XV, Balanced Softmax + NBN: 51.5.
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")), head=dict(loss=dict(type="BalancedSoftmaxLoss"))
)
