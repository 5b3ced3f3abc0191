"""ImageNet-LT, ResNeXt-50-32x4d, BCL + NBN + LR, whose logits replace the scaled cosines.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_bcl_nbn_lr.py

NBN paper Table II, "BCL + Ours": 57.7 (few 38.5, medium 55.3, many 67.5).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_rx50_bcl.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    head=dict(predictor=dict(_delete_=True, type="RectifiedLinear")),
)
