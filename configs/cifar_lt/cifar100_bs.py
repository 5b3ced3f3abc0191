"""CIFAR-100-LT, ResNet-32, Balanced Softmax.

    python tools/train.py configs/cifar_lt/cifar100_bs.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, Balanced Softmax: 46.8, 51.7, 57.6 at imbalance 200, 100, 50.
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
The paper says 4x width for CIFAR-100, model.backbone.backbone.width=4. The row seems to have the
standard one, at which Balanced Softmax's code reports 46.7 at imbalance 200.
"""

_base_ = "../_base_/cls_cifar100_lt.py"

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss")))
