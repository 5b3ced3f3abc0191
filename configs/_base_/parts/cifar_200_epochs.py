"""LDAM's recipe for CIFAR-LT: 200 epochs of batch 128, crop and flip, re-weighting from 160."""

weak = [dict(type="PadCrop"), dict(type="HorizontalFlip")]
# RIDE's.
rotating_pipeline = [
    *weak,
    dict(type="Rotate", max_mag=15.0, img_border_value=0, interpolation="nearest"),
    dict(type="PackClsInputs"),
]

batches = dict(
    batch_size=128,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(pipeline=[*weak, dict(type="PackClsInputs")]),
)
train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=10)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=2e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.2, begin=0, end=4),
    dict(type="MultiStepLR", milestones=[160, 180], gamma=0.01),
]
auto_scale_lr = dict(base_batch_size=128)
