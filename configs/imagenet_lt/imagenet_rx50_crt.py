"""ImageNet-LT, ResNeXt-50-32x4d, cRT: stage two after imagenet_rx50_ce.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_crt.py

NBN paper Table II, decoupling cRT: 49.6 (few 27.4, medium 46.2, many 61.8).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50_crt.py"

model = dict(
    backbone=dict(backbone=dict(type="ResNeXt", groups=32, base_width=4)),
    first_stage="work_dirs/imagenet_rx50_ce/epoch_90.pth",
)
