"""CIFAR-100-LT, ResNet-32, RIDE with three experts and its cosine classifiers + NBN.

    python tools/train.py configs/cifar_lt/cifar100_ride_nbn_cosine.py

No row in the papers: the row "RIDE + Ours" has linear classifiers with LR.
Not measured here. NBN sits at the residual positions, with a magnitude for each expert.
A cosine classifier does not see the length of the features.
Imbalance and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar100_ride.py"

model = dict(backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"))))
