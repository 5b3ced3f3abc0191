"""CIFAR-10-LT, ResNet-32, Balanced Softmax + CBN.

    python tools/train.py configs/cifar_lt/cifar10_cbn.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=50  # or 10

CBN paper Table 2, "Baseline + CBN": 84.12, 86.75, 89.89 at imbalance 100, 50, 10.
Not measured here. In the last norms of the last stage; components, depth and other options in the
base config.
"""

_base_ = "../_base_/cls_cifar10_400e.py"

model = dict(backbone=dict(norm_cfg=dict(type="CBN", num_components=4)))
