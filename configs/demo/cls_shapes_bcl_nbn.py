"""Shapes-LT, ResNet-8, BCL + NBN.

    python tools/train.py configs/demo/cls_shapes_bcl_nbn.py

No row in the papers.
Measured, 3 seeds: 73.7 ± 3.7 (few 67.9, medium 69.3, many 85.4). Paired with BCL alone: -1.0 ± 1.7
(few -1.3 ± 2.2), no difference.
"""

_base_ = "../_base_/cls_demo_shapes_bcl.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="NBN"),
    ),
)
