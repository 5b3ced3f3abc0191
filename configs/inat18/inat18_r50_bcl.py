"""iNaturalist 2018, ResNet-50, BCL.

    python tools/train.py configs/inat18/inat18_r50_bcl.py

NBN paper Table III: 71.7 (few 71.6, medium 72.0, many 70.9).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50_bcl.py"
