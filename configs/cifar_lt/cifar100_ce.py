"""CIFAR-100-LT, ResNet-32, cross entropy.

    python tools/train.py configs/cifar_lt/cifar100_ce.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, Cross Entropy: 41.2, 46.1, 52.0 at imbalance 200, 100, 50.
Not measured here. Imbalance, width and seed: options in configs/_base_/cls_cifar10_lt.py.
"""

_base_ = "../_base_/cls_cifar100_lt.py"
