"""Shapes-LT, ResNet-8, Balanced Softmax + NBN + LR.

    python tools/train.py configs/demo/cls_shapes_bs_nbn_lr.py

No row in the papers.
Measured, 3 seeds: 59.6 ± 5.5 (few 52.3 ± 7.4, medium 53.7 ± 5.9, many 74.7 ± 5.5).
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    head=dict(predictor=dict(type="RectifiedLinear"), loss=dict(type="BalancedSoftmaxLoss")),
)
