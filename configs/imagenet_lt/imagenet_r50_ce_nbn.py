"""ImageNet-LT, ResNet-50, cross entropy + NBN.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_nbn.py

NBN paper Tables IV and XV, Cross Entropy + NBN: 47.3 (few 13.4, medium 40.9, many 67.1).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
