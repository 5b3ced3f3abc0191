"""iNaturalist 2018, ResNet-50, RIDE with three experts + NBN + LR, a magnitude for each expert.

    python tools/train.py configs/inat18/inat18_r50_ride_nbn.py

NBN paper Table III, "RIDE + Ours": 75.3 (few 75.1, medium 75.4, many 75.5).
Not measured here. The form of the authors' code: NBN in all norms of each expert's last
stage, linear classifiers with LR. RIDE's loss stays, its margins on the rectified logits.
"""

_base_ = "../_base_/cls_inat18_r50_ride.py"

model = dict(
    backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"), positions="last_stage")),
    head=dict(predictor=dict(_delete_=True, type="RectifiedLinear")),
)
