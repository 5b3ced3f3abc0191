"""iNaturalist 2018, ResNet-50, cRT: stage two after inat18_r50_ce.

    python tools/train.py configs/inat18/inat18_r50_crt.py

NBN paper Table III, decoupling cRT: 68.2 (few 66.1, medium 68.8, many 73.2).
NBN paper Table VIII, Stage 2 Baseline (after 90 epochs): 65.2 (few 63.2, medium 66.0, many 69.0).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50_crt.py"

model = dict(first_stage="work_dirs/inat18_r50_ce/epoch_200.pth")
