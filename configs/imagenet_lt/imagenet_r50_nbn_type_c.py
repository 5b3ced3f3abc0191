"""ImageNet-LT, ResNet-50, cross entropy, ablation of NBN: all norms (type C).

    python tools/train.py configs/imagenet_lt/imagenet_r50_nbn_type_c.py

NBN paper Table VI, Type C: 46.9 (few 12.9, medium 40.2, many 67.1).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN"), positions="all"))
