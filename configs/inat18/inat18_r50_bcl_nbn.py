"""iNaturalist 2018, ResNet-50, BCL + NBN.

    python tools/train.py configs/inat18/inat18_r50_bcl_nbn.py

No row in the papers: BCL without LR. The shared g gets no gradient: cosines and the projections'
batch norm do not see the features' length.
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50_bcl.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
