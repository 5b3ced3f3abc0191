"""Shapes-LT, ResNet-8, RIDE with three experts: 24 and 48 channels in the last two stages.

Re-weighting and temperatures in the last 40 % of the epochs, as in cls_shapes_ldam_drw. RIDE's
warm-up is needed: without it the first steps, with the gradients of three experts, left one run of
three with 6 of its 16 shared channels dead.
"""

_base_ = "./cls_demo_shapes.py"

num_experts = 3

model = dict(
    backbone=dict(
        _delete_=True,
        type="MultiExpertBackbone",
        num_experts=num_experts,
        backbone=dict(type="ResNetCIFAR", depth=8, channels=(16, 24, 48), stem_stride=2),
    ),
    head=dict(
        _delete_=True,
        type="MultiExpertHead",
        num_experts=num_experts,
        num_classes=_base_.num_classes,
        predictor=dict(type="NormedLinear", tempearture=30, bias=False),
        loss=dict(
            type="RIDELoss",
            num_classes=_base_.num_classes,
            defer_until=12,
            loss=dict(
                type="ClassBalancedLoss",
                num_classes=_base_.num_classes,
                defer_until=12,
                loss=dict(type="LDAMLoss", num_classes=_base_.num_classes, input_scale=30),
            ),
        ),
    ),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, begin=0, end=2, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", begin=2, end=_base_.max_epochs, convert_to_iter_based=True),
]
