"""CIFAR-100-LT, ResNet-32, LDAM by the recipe that all rows of the table share.

    python tools/train.py configs/cifar_lt/cifar100_ldam.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, LDAM Loss: 42.3, 48.3, 53.3 at imbalance 200, 100, 50.
Not measured here. The row names the loss alone, so there is no deferred re-weighting. LDAM's own
recipe, with it, is cifar100_ldam_drw.
Imbalance, width and seed: options in configs/_base_/parts/cifar.py.
The paper says 4x width for CIFAR-100, model.backbone.backbone.width=4. Which width the row has is
unclear: cross entropy and Balanced Softmax seem to have the standard one.
"""

_base_ = "../_base_/cls_cifar100_lt.py"

model = dict(
    head=dict(
        predictor=dict(type="NormedLinear", tempearture=1, bias=False), loss=dict(type="LDAMLoss")
    )
)
