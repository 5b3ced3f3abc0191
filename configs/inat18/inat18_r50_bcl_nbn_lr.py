"""iNaturalist 2018, ResNet-50, BCL + NBN + LR, whose logits replace the scaled cosines.

    python tools/train.py configs/inat18/inat18_r50_bcl_nbn_lr.py

NBN paper Table III, "BCL + Ours": 72.6 (few 72.3, medium 73.2, many 70.8).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50_bcl.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    head=dict(predictor=dict(_delete_=True, type="RectifiedLinear")),
)
