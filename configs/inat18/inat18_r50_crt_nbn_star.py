"""iNaturalist 2018, ResNet-50, cRT with NBN*: as inat18_r50_crt_nbn, and g is learned too.

    python tools/train.py configs/inat18/inat18_r50_crt_nbn_star.py

NBN paper Table VIII, Stage 2 NBN*: 66.9 (few 64.8, medium 67.9, many 70.4).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50_crt.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    first_stage="work_dirs/inat18_r50_ce_nbn_90e/epoch_90.pth",
    trainable=["head.predictor.*", "backbone.*.magnitude"],
)
