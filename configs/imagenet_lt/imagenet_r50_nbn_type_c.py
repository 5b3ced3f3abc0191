"""ImageNet-LT, ResNet-50, cross entropy, ablation of NBN: all norms (type C).

    python tools/train.py configs/imagenet_lt/imagenet_r50_nbn_type_c.py

NBN paper Table VI, Type C: 46.9 (few 12.9, medium 40.2, many 67.1).
Not measured here.
"""

_base_ = "./imagenet_r50_ce_nbn.py"

model = dict(backbone=dict(positions="all"))
