"""CIFAR-10-LT, ResNet-32, RIDE with three experts, by the recipe of its authors' CIFAR-100-LT code.

200 epochs of batch 128, crop, flip and rotation; re-weighting and temperatures from epoch 160. The
last two stages have 24 and 48 channels. Their code has no config for CIFAR-10-LT: the diversity
factor, which they set for CIFAR-100-LT, is their default here.
"""

_base_ = "./cls_cifar10_ldam_drw.py"

num_experts = 3

model = dict(
    backbone=dict(
        _delete_=True,
        type="MultiExpertBackbone",
        num_experts=num_experts,
        backbone=dict(type="ResNetCIFAR", depth=32, channels=(16, 24, 48)),
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
            defer_until=160,
            loss=dict(
                type="ClassBalancedLoss",
                num_classes=_base_.num_classes,
                defer_until=160,
                loss=dict(type="LDAMLoss", num_classes=_base_.num_classes, input_scale=30),
            ),
        ),
    ),
)

train_pipeline = [
    dict(type="PadCrop"),
    dict(type="HorizontalFlip"),
    dict(type="Rotate", max_mag=15.0, img_border_value=0, interpolation="nearest"),
    dict(type="PackClsInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(weight_decay=5e-4, nesterov=True))
