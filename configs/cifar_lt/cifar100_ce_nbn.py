"""CIFAR-100-LT, ResNet-32, cross entropy + NBN.

    python tools/train.py configs/cifar_lt/cifar100_ce_nbn.py

No row in the papers without LR.
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar100_lt.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
