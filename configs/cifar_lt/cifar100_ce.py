"""CIFAR-100-LT, ResNet-32, cross entropy.

    python tools/train.py configs/cifar_lt/cifar100_ce.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, Cross Entropy: 41.2, 46.1, 52.0 at imbalance 200, 100, 50.
Not measured here. Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
The paper says 4x width for CIFAR-100, model.backbone.backbone.width=4. The row seems to have the
standard one, at which Balanced Softmax's code reports the same 41.2 at imbalance 200.
"""

_base_ = "../_base_/cls_cifar100_lt.py"
