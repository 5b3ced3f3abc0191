"""ImageNet-LT, ResNeXt-50-32x4d, Balanced Softmax + NBN.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_bs_nbn.py

No row in the papers: NBN's Table XV has it for ResNet-50.
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")), head=dict(loss=dict(type="BalancedSoftmaxLoss"))
)
