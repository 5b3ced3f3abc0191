"""The demo's NBN: seesaw.py with NBN in the last stage's residuals, otherwise equal.

    make demo        # this and seesaw.py, side by side

No row in the papers.
Measured, 1 run: box AP 36.5 (r 24.0, c 40.7, f 46.2), mask AP 34.4 (r 14.9, c 41.9, f 47.7).
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
