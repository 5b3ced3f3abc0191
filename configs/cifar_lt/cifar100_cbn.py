"""CIFAR-100-LT, ResNet-32, Balanced Softmax + CBN.

    python tools/train.py configs/cifar_lt/cifar100_cbn.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=50  # or 10

CBN paper Table 2, "Baseline + CBN": 52.16, 57.26, 64.37 at imbalance 100, 50, 10.
Not measured here. In the last norms of the last stage; components, depth and other options in the
base config.
"""

_base_ = "../_base_/cls_cifar100_400e.py"

model = dict(backbone=dict(norm_cfg=dict(type="CBN", num_components=4)))
