"""The demo's NBN: seesaw.py with NBN in the last stage's residuals, otherwise equal.

make demo        # this and seesaw.py, side by side
"""

_base_ = "../_base_/demo_mini_lvis.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="NBN"),
    )
)
