"""CIFAR-100-LT, ResNet-32, RIDE with three experts + NBN + LR, a magnitude for each expert.

    python tools/train.py configs/cifar_lt/cifar100_ride_nbn.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

NBN paper Table I, "RIDE + Ours": 51.8, 57.5, 62.2 at imbalance 200, 100, 50.
Not measured here. The form of the authors' code: NBN in all norms of each expert's last
stage, linear classifiers with LR. RIDE's loss stays, its margins on the rectified logits.
Imbalance and seed: options in configs/_base_/parts/cifar.py.
The paper says 4x width for CIFAR-100, model.backbone.backbone.backbone.width=4. Which width the row
has is unclear: cross entropy and Balanced Softmax seem to have the standard one.
"""

_base_ = "../_base_/cls_cifar100_ride.py"

model = dict(
    backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"), positions="last_stage")),
    head=dict(predictor=dict(_delete_=True, type="RectifiedLinear")),
)
