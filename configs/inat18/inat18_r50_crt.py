"""iNaturalist 2018, ResNet-50, cRT: stage two after inat18_r50_ce.

    python tools/train.py configs/inat18/inat18_r50_crt.py

NBN paper Table III, decoupling cRT: 68.2 (few 66.1, medium 68.8, many 73.2).
Not measured here. The paper does not say how long its first stage is: 200 epochs are those of the
table's other rows.
"""

_base_ = "../_base_/cls_inat18_r50_crt.py"

model = dict(first_stage="work_dirs/inat18_r50_ce/epoch_200.pth")
