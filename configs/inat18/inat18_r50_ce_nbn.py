"""iNaturalist 2018, ResNet-50, cross entropy + NBN.

    python tools/train.py configs/inat18/inat18_r50_ce_nbn.py

No row in the papers: Table VIII has 90 epochs, inat18_r50_ce_nbn_90e, Table III has LR.
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
