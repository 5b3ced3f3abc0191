"""CIFAR-10-LT, ResNet-32, RIDE with three experts + NBN + LR, a magnitude for each expert.

    python tools/train.py configs/cifar_lt/cifar10_ride_nbn.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, "RIDE + Ours": 84.5, 87.1, 89.7 at imbalance 200, 100, 50.
Not measured here. The form of the authors' code: NBN in all norms of each expert's last
stage, linear classifiers with LR. RIDE's loss stays, its margins on the rectified logits.
Imbalance and seed: options in configs/_base_/parts/cifar.py.
"""

_base_ = "../_base_/cls_cifar10_ride.py"

model = dict(
    backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"), positions="last_stage")),
    head=dict(predictor=dict(_delete_=True, type="RectifiedLinear")),
)
