"""ImageNet-LT, ResNeXt-50-32x4d, RIDE with four experts + NBN + LR, a magnitude for each expert.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_ride_nbn.py

NBN paper Table II, "RIDE + Ours": 58.2 (few 36.7, medium 56.0, many 68.6).
Not measured here. The form of the authors' code: NBN in all norms of each expert's last
stage, linear classifiers with LR. RIDE's loss stays, its margins on the rectified logits.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50_ride.py"

model = dict(
    backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"), positions="last_stage")),
    head=dict(predictor=dict(_delete_=True, type="RectifiedLinear")),
)
