"""ImageNet-LT, ResNeXt-50-32x4d, RIDE with four experts, Balanced Softmax, linear classifiers.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_ride_bs.py

No row in the papers: RIDE_BalancedSoftmaxLoss of the NBN authors' code.
Not measured here. Temperatures and the diversity factor, -0.2, are that code's.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50_ride.py"

model = dict(
    head=dict(predictor=dict(_delete_=True, type="Linear"), loss=_base_.ride_balanced_softmax)
)
