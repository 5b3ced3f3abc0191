"""iNaturalist 2018, ResNet-50, cross entropy.

    python tools/train.py configs/inat18/inat18_r50_ce.py

NBN paper Table III, Cross Entropy: 65.2 (few 60.0, medium 67.2, many 75.8).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50.py"
