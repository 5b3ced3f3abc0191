"""CIFAR-10-LT, ResNet-32, RIDE with three experts, Balanced Softmax + NBN + LR.

    python tools/train.py configs/cifar_lt/cifar10_ride_bs_nbn.py

No row in the papers: RIDE_BalancedSoftmaxLoss of the NBN authors' code, on their network.
Not measured here. As cifar10_ride_bs, with the NBN and the classifiers of cifar10_ride_nbn.
Imbalance and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_ride.py"

model = dict(
    backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"), positions="last_stage")),
    head=dict(
        predictor=dict(_delete_=True, type="RectifiedLinear"), loss=_base_.ride_balanced_softmax
    ),
)
