"""ImageNet-LT, ResNet-50, cRT with NBN: stage two after imagenet_r50_ce_nbn, NBN fixed.

    python tools/train.py configs/imagenet_lt/imagenet_r50_crt_nbn.py

NBN paper Table VIII, Stage 2 NBN: 49.9 (few 24.1, medium 46.2, many 63.5).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50_crt.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    first_stage="work_dirs/imagenet_r50_ce_nbn/epoch_90.pth",
)
