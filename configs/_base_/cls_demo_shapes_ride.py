"""Shapes-LT, ResNet-8, RIDE with three experts: 24 and 48 channels in the last two stages.

Warm-up, and re-weighting and temperatures in the last 40 % of the epochs, as for LDAM-DRW.
"""

_base_ = "./cls_demo_shapes_ldam_drw.py"

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
