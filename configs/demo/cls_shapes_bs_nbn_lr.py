"""Shapes-LT, ResNet-8, Balanced Softmax + NBN + LR.

    python tools/train.py configs/demo/cls_shapes_bs_nbn_lr.py

No row in the papers.
Measured, 3 seeds: 59.2 ± 5.8 (few 51.7 ± 8.5, medium 52.6 ± 5.1, many 75.7 ± 4.1).
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="NBN")),
    head=dict(predictor=dict(type="RectifiedLinear"), loss=dict(type="BalancedSoftmaxLoss")),
)
