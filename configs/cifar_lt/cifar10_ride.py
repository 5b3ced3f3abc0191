"""CIFAR-10-LT, ResNet-32, RIDE with three experts.

    python tools/train.py configs/cifar_lt/cifar10_ride.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I: 81.5, 85.1, 88.7 at imbalance 200, 100, 50.
Not measured here. Imbalance and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_ride.py"
