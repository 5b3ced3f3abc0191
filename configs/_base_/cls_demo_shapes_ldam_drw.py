"""Shapes-LT, LDAM re-weighted in the last 40 % of the epochs, with LDAM's warm-up.

The warm-up is needed: without it the first steps can kill channels for the whole run. Seen with
RIDE, whose experts have this loss: one run of three lost 6 of its 16 shared channels.
"""

_base_ = "./cls_demo_shapes.py"

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
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, begin=0, end=2, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", begin=2, end=_base_.max_epochs, convert_to_iter_based=True),
]
