"""ImageNet-LT, ResNeXt-50-32x4d, RIDE with four experts, Balanced Softmax + NBN + LR.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_ride_bs_nbn.py

No row in the papers: RIDE_BalancedSoftmaxLoss of the NBN authors' code, on their network.
Not measured here. As imagenet_rx50_ride_bs, with the NBN and the classifiers of
imagenet_rx50_ride_nbn.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50_ride.py"

model = dict(
    backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"), positions="last_stage")),
    head=dict(
        predictor=dict(_delete_=True, type="RectifiedLinear"), loss=_base_.ride_balanced_softmax
    ),
)
