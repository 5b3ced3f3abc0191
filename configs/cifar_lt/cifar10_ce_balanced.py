"""CIFAR-10, balanced, ResNet-32, cross entropy.

    python tools/train.py configs/cifar_lt/cifar10_ce_balanced.py

NBN paper Table XI, Cross Entropy, CIFAR-10: 93.8.
Not measured here. Width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_lt.py"

train_dataloader = dict(dataset=dict(imbalance_factor=1))
