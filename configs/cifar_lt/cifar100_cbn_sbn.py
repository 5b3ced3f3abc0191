"""CIFAR-100-LT, ResNet-32, Balanced Softmax + CBN + SBN.

    python tools/train.py configs/cifar_lt/cifar100_cbn_sbn.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=50  # or 10

CBN paper Table 2, "Baseline + CBN + SBN": 52.76, 58.04, 64.97 at imbalance 100, 50, 10.
Not measured here.
"""

_base_ = "../_base_/cls_cifar100_400e.py"

model = dict(
    type="CompoundSplitClassifier", backbone=dict(norm_cfg=dict(type="CBN", num_components=4))
)
