"""CIFAR-10-LT, ResNet-32, LDAM with deferred re-weighting, by the recipe of its authors' code.

    python tools/train.py configs/cifar_lt/cifar10_ldam_drw.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, LDAM Loss (with Balanced Softmax's recipe):
75.0, 78.9, 84.3 at imbalance 200, 100, 50.
Not measured here. Imbalance, width and seed: options in configs/_base_/cls_cifar10_lt.py.
"""

_base_ = "../_base_/cls_cifar10_ldam_drw.py"
