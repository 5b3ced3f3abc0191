"""CIFAR-100-LT, ResNet-32, Balanced Softmax by the recipe of CBN's paper: its baseline.

    python tools/train.py configs/cifar_lt/cifar100_bs_400e.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=50  # or 10

CBN paper Table 2, Baseline: 49.66, 52.18, 62.49 at imbalance 100, 50, 10.
CBN paper Table 3, row I: 49.66 (many 66.93, medium 51.20, few 28.24).
Not measured here.
"""

_base_ = "../_base_/cls_cifar100_400e.py"
