"""CIFAR-100-LT, ResNet-32, RIDE with three experts + NBN, a magnitude for each expert.

    python tools/train.py configs/cifar_lt/cifar100_ride_nbn.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, "RIDE + Ours": 51.8, 57.5, 62.2 at imbalance 200, 100, 50.
The paper does not say whether LR is in this row; in its authors' code RIDE has none.
Not measured here. Imbalance and seed: options in configs/_base_/cls_cifar10_lt.py.
"""

_base_ = "../_base_/cls_cifar100_ride.py"

model = dict(
    backbone=dict(
        backbone=dict(
            _delete_=True,
            type="LTNormBackbone",
            backbone=_base_.model.backbone.backbone,
            norm_cfg=dict(type="NBN"),
        ),
    ),
)
