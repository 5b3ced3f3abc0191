"""ImageNet-LT, ResNet-50, Balanced Softmax + LR.

    python tools/train.py configs/imagenet_lt/imagenet_r50_bs_lr.py

No row in the papers: the part of LR in Table XV's rows with NBN and LR.
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(
    head=dict(predictor=dict(type="RectifiedLinear"), loss=dict(type="BalancedSoftmaxLoss"))
)
