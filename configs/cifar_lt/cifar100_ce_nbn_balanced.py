"""CIFAR-100, balanced, ResNet-32, cross entropy + NBN.

    python tools/train.py configs/cifar_lt/cifar100_ce_nbn_balanced.py

NBN paper Table XI, Ours, CIFAR-100: 70.5.
Not measured here. Width and seed: options in configs/_base_/parts/cifar.py.
The paper says 4x width for CIFAR-100, model.backbone.backbone.width=4. The 70.5 looks like the
standard one's.
"""

_base_ = "../_base_/cls_cifar100_lt.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
train_dataloader = dict(dataset=dict(imbalance_factor=1))
