"""CIFAR-10-LT, ResNet-32, Balanced Softmax + LR.

    python tools/train.py configs/cifar_lt/cifar10_bs_lr.py

No row in the papers: the part of LR in Table I's rows with NBN and LR.
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_lt.py"

model = dict(
    head=dict(predictor=dict(type="RectifiedLinear"), loss=dict(type="BalancedSoftmaxLoss"))
)
