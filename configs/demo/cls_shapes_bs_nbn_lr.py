"""Shapes-LT, ResNet-8, Balanced Softmax + NBN + LR.

    python tools/train.py configs/demo/cls_shapes_bs_nbn_lr.py

No row in the papers.
Measured, 3 seeds: 60.1 ± 5.6 (few 52.0 ± 8.0, medium 54.6 ± 6.4, many 75.6 ± 6.8).
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="NBN"),
    ),
    head=dict(
        predictor=dict(type="RectifiedLinear"),
        loss=dict(type="BalancedSoftmaxLoss", num_classes=_base_.num_classes),
    ),
)
