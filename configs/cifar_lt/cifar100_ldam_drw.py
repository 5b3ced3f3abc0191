"""CIFAR-100-LT, ResNet-32, LDAM with deferred re-weighting, by the recipe of its authors' code.

    python tools/train.py configs/cifar_lt/cifar100_ldam_drw.py

No row in the papers: NBN's Table I trains LDAM as all its rows, see cifar100_ldam.
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_ldam_drw.py"

model = dict(head=dict(num_classes=100))
train_dataloader = dict(dataset=dict(type="CIFAR100LT"))
val_dataloader = dict(dataset=dict(type="CIFAR100LT"))
test_dataloader = val_dataloader
