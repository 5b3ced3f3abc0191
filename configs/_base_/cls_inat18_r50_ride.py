"""iNaturalist 2018, ResNet-50, RIDE with three experts: its authors' recipe.

As on ImageNet-LT, with 512 images a step in all and lr 0.2. NBN's paper trains this set for 200
epochs, and for RIDE says "the same setup as RIDE", which is 100.
"""

_base_ = "./cls_inat18_r50.py"

num_experts = 3
max_epochs = 100

model = dict(
    backbone=dict(
        _delete_=True,
        type="MultiExpertBackbone",
        num_experts=num_experts,
        backbone=dict(type="NarrowedResNet", width=0.75, backbone=_base_.model.backbone),
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
            temperature_strength=0.015,
            defer_until=80,
            loss=dict(
                type="ClassBalancedLoss",
                num_classes=_base_.num_classes,
                defer_until=80,
                loss=dict(type="LDAMLoss", num_classes=_base_.num_classes, input_scale=30),
            ),
        ),
    ),
)
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(weight_decay=2e-4, nesterov=True))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.2, begin=0, end=4),
    dict(type="MultiStepLR", milestones=[60, 80], gamma=0.1),
]
