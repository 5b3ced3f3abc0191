"""CIFAR-10-LT, ResNet-32, cross entropy.

    python tools/train.py configs/cifar_lt/cifar10_ce.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, Cross Entropy: 74.0, 78.0, 82.3 at imbalance 200, 100, 50.
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_lt.py"
