"""ImageNet-LT, ResNet-50, cross entropy, ablation of NBN: g fixed where it starts.

    python tools/train.py configs/imagenet_lt/imagenet_r50_nbn_fixed_g.py

NBN paper Table IX, Fix g: 17.3.
Not measured here. The raw vectors and g start as those of imagenet_r50_ce_nbn, at √C. The paper's
number fits the start of the authors' code, g = 1: for all rows of Table IX by --cfg-options
model.backbone.norm_cfg.initial_magnitude=1.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN", learn_magnitude=False)))
