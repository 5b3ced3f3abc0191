"""CIFAR-10-LT, ResNet-32, focal loss.

    python tools/train.py configs/cifar_lt/cifar10_focal.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, Focal Loss: 74.1, 77.1, 83.0 at imbalance 200, 100, 50.
Not measured here. The paper does not give gamma: 2 is that of the focal loss's own paper, LDAM's
code has 1, --cfg-options model.head.loss.gamma=1.
Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_lt.py"

model = dict(head=dict(loss=dict(type="SoftmaxFocalLoss", gamma=2.0)))
