"""ImageNet-LT, ResNet-50, cRT with NBN*: as imagenet_r50_crt_nbn, and g is learned too.

    python tools/train.py configs/imagenet_lt/imagenet_r50_crt_nbn_star.py

NBN paper Table VIII, Stage 2 NBN*: 50.7 (few 26.8, medium 47.4, many 63.3).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50_crt.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    first_stage="work_dirs/imagenet_r50_ce_nbn/epoch_90.pth",
    trainable=["head.predictor.*", "backbone.*.magnitude"],
)
