"""Shapes-LT, ResNet-8, LDAM re-weighted in the last 40 % of the epochs (LDAM-DRW).

    python tools/train.py configs/demo/cls_shapes_ldam_drw.py

No row in the papers.
Measured, 5 seeds: few 52.9 ± 14.7 (cls_shapes_ce with the same seeds 18.8 ± 2.1).
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(
    head=dict(
        predictor=dict(type="NormedLinear", tempearture=1, bias=False),
        loss=dict(
            _delete_=True,
            type="ClassBalancedLoss",
            num_classes=_base_.num_classes,
            defer_until=12,
            loss=dict(type="LDAMLoss", num_classes=_base_.num_classes),
        ),
    )
)
