"""CIFAR-100-LT, ResNet-32, Balanced Softmax + NBN.

    python tools/train.py configs/cifar_lt/cifar100_bs_nbn.py

No row in the papers: NBN's Table XV has it for ImageNet-LT.
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar100_lt.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")), head=dict(loss=dict(type="BalancedSoftmaxLoss"))
)
