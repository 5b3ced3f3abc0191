"""ImageNet-LT, ResNet-50, Balanced Softmax + CBN + SBN, dual-path learning.

    python tools/train.py configs/imagenet_lt/imagenet_r50_cbn_dpl.py

CBN paper Table 5: 57.4. Not measured here.
Batch, lr and epochs are those that the paper states for all sets; weight decay and image statistics
the base's.
"""

_base_ = "../_base_/cls_imagenet_lt_r50_dpl.py"

model = dict(backbone=dict(norm_cfg=dict(type="CBN", num_components=4)))
