"""ImageNet-LT, ResNet-50, cross entropy, ablation of NBN: g fixed at 1.

    python tools/train.py configs/imagenet_lt/imagenet_r50_nbn_fixed_g.py

NBN paper Table IX, Fix g: 17.3.
Not measured here.
"""

_base_ = "./imagenet_r50_ce_nbn.py"

model = dict(backbone=dict(norm_cfg=dict(official=True, learn_magnitude=False)))
