"""ImageNet-LT, ResNet-50, cross entropy, ablation of NBN: all norms of the last stage (type A).

    python tools/train.py configs/imagenet_lt/imagenet_r50_nbn_type_a.py

NBN paper Table VI, Type A: 47.0 (few 13.7, medium 40.4, many 66.9).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN"), positions="last_stage"))
