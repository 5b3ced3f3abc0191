"""ImageNet-LT, ResNeXt-50-32x4d, BCL + NBN.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_bcl_nbn.py

No row in the papers: BCL without LR. The shared g gets no gradient: cosines and the projections'
batch norm do not see the features' length.
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50_bcl.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
