"""ImageNet-LT, ResNet-50, cRT: stage two after imagenet_r50_ce.

    python tools/train.py configs/imagenet_lt/imagenet_r50_crt.py

NBN paper Table VIII, Stage 2 Baseline: 47.4 (few 26.2, medium 43.8, many 59.3).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50_crt.py"

model = dict(first_stage="work_dirs/imagenet_r50_ce/epoch_90.pth")
