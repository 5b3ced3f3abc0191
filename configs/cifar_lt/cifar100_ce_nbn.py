"""CIFAR-100-LT, ResNet-32, cross entropy + NBN.

    python tools/train.py configs/cifar_lt/cifar100_ce_nbn.py

No row in the papers without LR.
Not measured here. Imbalance, width and seed: options in configs/_base_/cls_cifar10_lt.py.
"""

_base_ = "../_base_/cls_cifar100_lt.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="NBN"),
    ),
)
