"""CIFAR-10, balanced, ResNet-32, cross entropy + NBN.

    python tools/train.py configs/cifar_lt/cifar10_ce_nbn_balanced.py

NBN paper Table XI, Ours, CIFAR-10: 93.4.
Not measured here. Width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_lt.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
train_dataloader = dict(dataset=dict(imbalance_factor=1))
