"""ImageNet-LT, ResNeXt-50-32x4d, RIDE with four experts and its cosine classifiers + NBN.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_ride_nbn_cosine.py

No row in the papers: the row "RIDE + Ours" has linear classifiers with LR.
Not measured here. NBN sits at the residual positions, with a magnitude for each expert.
A cosine classifier leaves g without gradient here.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50_ride.py"

model = dict(backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"))))
