"""CIFAR-100-LT, ResNet-32, RIDE with three experts.

    python tools/train.py configs/cifar_lt/cifar100_ride.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I: 51.8, 57.3, 61.7 at imbalance 200, 100, 50.
Not measured here. Imbalance and seed: options in configs/_base_/parts/cifar.py.
The paper says 4x width for CIFAR-100, model.backbone.backbone.backbone.width=4. Which width the row
has is unclear: cross entropy and Balanced Softmax seem to have the standard one.
"""

_base_ = "../_base_/cls_cifar100_ride.py"
