"""CIFAR-10-LT, ResNet-32, cross entropy + NBN.

    python tools/train.py configs/cifar_lt/cifar10_ce_nbn.py

NBN paper Table VI, Ours: 80.0 at imbalance 100 (medium 71.6, many 82.1).
NBN paper Table VI, Types A, B and C: 80.0, 78.6 and 80.3, by --work-dir DIR
--cfg-options model.backbone.positions=last_stage, complement and all.
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_lt.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
