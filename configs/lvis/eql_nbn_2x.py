"""Equalization loss + NBN: eql_2x with NBN in the last stage's residuals.

    python tools/train.py configs/lvis/eql_nbn_2x.py

No row of the NBN paper, whose Table XIV has EQL alone; compare with eql_2x.
Time and score not measured here.
"""

_base_ = "../_base_/lvis_eql_2x.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="NBN"),
        positions="residual",
        share="all",
    )
)
