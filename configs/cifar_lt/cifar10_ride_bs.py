"""CIFAR-10-LT, ResNet-32, RIDE with three experts, Balanced Softmax, linear classifiers.

    python tools/train.py configs/cifar_lt/cifar10_ride_bs.py

No row in the papers: RIDE_BalancedSoftmaxLoss of the NBN authors' code.
Not measured here. Temperatures and the diversity factor, -0.2, are that code's.
Imbalance and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_ride.py"

model = dict(
    head=dict(predictor=dict(_delete_=True, type="Linear"), loss=_base_.ride_balanced_softmax)
)
