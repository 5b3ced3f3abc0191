"""iNaturalist 2018, ResNet-50, RIDE with three experts.

    python tools/train.py configs/inat18/inat18_r50_ride.py

NBN paper Table III: 74.8 (few 74.7, medium 75.0, many 74.5).
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50_ride.py"
