"""ImageNet-LT, ResNet-50, cross entropy, ablation of NBN: g times the vectors as they are.

    python tools/train.py configs/imagenet_lt/imagenet_r50_nbn_unnormalized.py

NBN paper Table IX, Ours w/o. normalization: 44.9.
Not measured here. The raw vectors and g start as those of imagenet_r50_ce_nbn, so γ starts at √C;
from the authors' g = 1 it starts as batch norm's: for all rows of Table IX by
--cfg-options model.backbone.norm_cfg.initial_magnitude=1.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN", normalize=False)))
