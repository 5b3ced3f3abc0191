"""CIFAR-10-LT, ResNet-32, cross entropy + NBN.

    python tools/train.py configs/cifar_lt/cifar10_ce_nbn.py

NBN paper Table VI: 80.0 at imbalance 100 (medium 71.6, many 82.1); Table XI: 93.4 balanced.
Table VI's other positions, by --cfg-options model.backbone.positions=: last_stage (type A) 80.0,
complement (type B) 78.6, all (type C) 80.3.
Not measured here. Imbalance, width and seed: options in configs/_base_/cls_cifar10_lt.py.
"""

_base_ = "../_base_/cls_cifar10_lt.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="NBN"),
    ),
)
