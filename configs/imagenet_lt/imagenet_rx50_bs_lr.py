"""ImageNet-LT, ResNeXt-50-32x4d, Balanced Softmax + LR.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_bs_lr.py

No row in the papers: the part of LR in Table XVII's rows with NBN and LR.
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50.py"

model = dict(
    head=dict(predictor=dict(type="RectifiedLinear"), loss=dict(type="BalancedSoftmaxLoss"))
)
