"""CIFAR-10-LT, ResNet-32, Balanced Softmax by the recipe of CBN's paper: its baseline.

    python tools/train.py configs/cifar_lt/cifar10_bs_400e.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=50  # or 10

CBN paper Table 2, "Baseline": 81.87, 84.65, 88.34 at imbalance 100, 50, 10. Not measured here.
"""

_base_ = "../_base_/cls_cifar10_400e.py"
