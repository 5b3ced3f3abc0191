"""iNaturalist 2018, ResNet-50, cross entropy + NBN + LR.

    python tools/train.py configs/inat18/inat18_r50_ce_nbn_lr.py

NBN paper Table III, Cross Entropy + Ours: 66.5 (few 61.2, medium 68.5, many 76.6).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")), head=dict(predictor=dict(type="RectifiedLinear"))
)
