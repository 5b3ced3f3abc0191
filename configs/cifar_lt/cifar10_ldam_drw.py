"""CIFAR-10-LT, ResNet-32, LDAM with deferred re-weighting, by the recipe of its authors' code.

    python tools/train.py configs/cifar_lt/cifar10_ldam_drw.py

No row in the papers: NBN's Table I trains LDAM as all its rows, see cifar10_ldam.
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_ldam_drw.py"
