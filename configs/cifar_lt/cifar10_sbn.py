"""CIFAR-10-LT, ResNet-32, Balanced Softmax + SBN alone.

    python tools/train.py configs/cifar_lt/cifar10_sbn.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=50  # or 10

CBN paper Table 2, "Baseline + SBN": 82.03, 84.73, 88.89 at imbalance 100, 50, 10.
Not measured here. How it is tested is our reading: see SplitClassifier.
"""

_base_ = "../_base_/cls_cifar10_400e.py"

model = dict(type="SplitClassifier", backbone=dict(norm_cfg=dict(type="CBN", num_components=4)))
