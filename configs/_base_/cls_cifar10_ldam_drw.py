"""CIFAR-10-LT by LDAM's recipe: 200 epochs of batch 128, crop and flip, re-weighting from 160."""

_base_ = "./cls_cifar10_lt.py"

model = dict(
    head=dict(
        predictor=dict(type="NormedLinear", tempearture=1, bias=False),
        loss=dict(
            _delete_=True,
            type="ClassBalancedLoss",
            num_classes=_base_.num_classes,
            defer_until=160,
            loss=dict(type="LDAMLoss", num_classes=_base_.num_classes),
        ),
    )
)

train_pipeline = [
    dict(type="PadCrop"),
    dict(type="HorizontalFlip"),
    dict(type="PackClsInputs"),
]
train_dataloader = dict(
    batch_size=128,
    drop_last=False,
    sampler=dict(_delete_=True, type="DefaultSampler", shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=200, val_interval=10)
optim_wrapper = dict(optimizer=dict(lr=0.1, weight_decay=2e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.2, begin=0, end=4),
    dict(type="MultiStepLR", milestones=[160, 180], gamma=0.01),
]
auto_scale_lr = dict(base_batch_size=128)
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=10))
log_processor = dict(by_epoch=True)
