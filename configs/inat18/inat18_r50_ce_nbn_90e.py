"""iNaturalist 2018, ResNet-50, cross entropy + NBN, 90 epochs.

    python tools/train.py configs/inat18/inat18_r50_ce_nbn_90e.py

NBN paper Table VIII, Stage 1 NBN: 63.3 (few 59.3, medium 64.3, many 73.4).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
train_cfg = dict(max_epochs=90)
param_scheduler = dict(T_max=90)
