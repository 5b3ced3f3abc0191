"""CIFAR-10-LT, ResNet-32, LDAM by the recipe that all rows of the table share.

    python tools/train.py configs/cifar_lt/cifar10_ldam.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, LDAM Loss: 75.0, 78.9, 84.3 at imbalance 200, 100, 50.
Not measured here. The row names the loss alone, so there is no deferred re-weighting. LDAM's own
recipe, with it, is cifar10_ldam_drw.
Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_lt.py"

model = dict(
    head=dict(
        predictor=dict(type="NormedLinear", tempearture=1, bias=False), loss=dict(type="LDAMLoss")
    )
)
