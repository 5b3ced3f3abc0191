"""ImageNet-LT, ResNet-50, cross entropy, feature normalization after NBN's positions' BN.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_feature_chw.py

NBN paper Table XII, ResNet-50 + feature norm on channel [C, H, W]: 39.8 (few 0.9,
medium 28.9, many 67.1).
Not measured here.
The paper gives no formula; see FeatureNorm.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="BNThen", then=dict(type="FeatureNorm", dims=[1, 2, 3])))
)
