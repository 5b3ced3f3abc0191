"""iNaturalist 2018, ResNet-50, RIDE with three experts and its cosine classifiers + NBN.

    python tools/train.py configs/inat18/inat18_r50_ride_nbn_cosine.py

No row in the papers: the row "RIDE + Ours" has linear classifiers with LR.
Not measured here. NBN sits at the residual positions, with a magnitude for each expert.
A cosine classifier leaves g without gradient here.
"""

_base_ = "../_base_/cls_inat18_r50_ride.py"

model = dict(backbone=dict(backbone=dict(norm_cfg=dict(type="NBN"))))
