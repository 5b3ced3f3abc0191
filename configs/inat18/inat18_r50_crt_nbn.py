"""iNaturalist 2018, ResNet-50, cRT with NBN: stage two after inat18_r50_ce_nbn_90e, NBN fixed.

    python tools/train.py configs/inat18/inat18_r50_crt_nbn.py

NBN paper Table VIII, Stage 2 NBN: 65.9 (few 63.3, medium 66.8, many 71.4).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50_crt.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    first_stage="work_dirs/inat18_r50_ce_nbn_90e/epoch_90.pth",
)
