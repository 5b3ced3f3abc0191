"""ImageNet-LT, ResNet-50, cross entropy, ablation of NBN: the last stage's other norms (type B).

    python tools/train.py configs/imagenet_lt/imagenet_r50_nbn_type_b.py

NBN paper Table VI, Type B: 43.0 (few 6.8, medium 35.8, many 64.9).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN"), positions="complement"))
