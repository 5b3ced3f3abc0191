"""CIFAR-10-LT, ResNet-32, Balanced Softmax.

    python tools/train.py configs/cifar_lt/cifar10_bs.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, Balanced Softmax: 79.8, 83.6, 86.5 at imbalance 200, 100, 50.
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_lt.py"

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss")))
