"""Shapes-LT, ResNet-8, cross entropy + NBN.

    python tools/train.py configs/demo/cls_shapes_ce_nbn.py

No row in the papers.
Measured, 3 seeds: 55.4 ± 1.5 (few 10.2 ± 4.0, medium 59.0 ± 3.9, many 95.9 ± 1.0).
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="NBN"),
    ),
)

custom_hooks = [*_base_.custom_hooks, dict(type="FeatureBiasHook")]
