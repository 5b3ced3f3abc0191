"""Shapes-LT, ResNet-8, LDAM-DRW + NBN.

    python tools/train.py configs/demo/cls_shapes_ldam_drw_nbn.py

No row in the papers.
Not measured here.
"""

_base_ = "../_base_/cls_demo_shapes_ldam_drw.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="NBN"),
    ),
)
