"""CIFAR-100, balanced, ResNet-32, cross entropy.

    python tools/train.py configs/cifar_lt/cifar100_ce_balanced.py

NBN paper Table XI, Cross Entropy, CIFAR-100: 70.5.
Not measured here. Width and seed: options in configs/_base_/parts/cifar.py.
The paper says 4x width for CIFAR-100, model.backbone.backbone.width=4. The 70.5 looks like the
standard one's.
"""

_base_ = "../_base_/cls_cifar100_lt.py"

train_dataloader = dict(dataset=dict(imbalance_factor=1))
