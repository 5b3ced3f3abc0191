"""iNaturalist 2018, ResNet-50, cross entropy, 90 epochs.

    python tools/train.py configs/inat18/inat18_r50_ce_90e.py

NBN paper Table VIII, Stage 1 Baseline: 62.3 (few 56.7, medium 64.3, many 74.3).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50.py"

train_cfg = dict(max_epochs=90)
param_scheduler = dict(T_max=90)
