"""CIFAR-10-LT, ResNet-32, Balanced Softmax + NBN + LR.

    python tools/train.py configs/cifar_lt/cifar10_bs_nbn_lr.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, Balanced Softmax + Ours: 80.2, 84.1, 87.0 at imbalance 200, 100, 50.
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_lt.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    head=dict(predictor=dict(type="RectifiedLinear"), loss=dict(type="BalancedSoftmaxLoss")),
)
