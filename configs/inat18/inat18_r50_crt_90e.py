"""iNaturalist 2018, ResNet-50, cRT: stage two after inat18_r50_ce_90e.

    python tools/train.py configs/inat18/inat18_r50_crt_90e.py

NBN paper Table VIII, Stage 2 Baseline: 65.2 (few 63.2, medium 66.0, many 69.0).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50_crt.py"

model = dict(first_stage="work_dirs/inat18_r50_ce_90e/epoch_90.pth")
