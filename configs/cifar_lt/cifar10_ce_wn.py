"""CIFAR-10-LT, ResNet-32, cross entropy, weight norm before NBN's positions.

    python tools/train.py configs/cifar_lt/cifar10_ce_wn.py

NBN paper Table X, WN: 78.3 at imbalance 100 (medium 65.5, many 81.5).
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_lt.py"

model = dict(backbone=dict(type="WeightNormBackbone"))
