"""iNaturalist 2018, ResNet-50, RIDE with three experts: its authors' recipe.

As on ImageNet-LT, with 512 images a step in all and lr 0.2. NBN's paper trains this set for 200
epochs, and for RIDE says "the same setup as RIDE", which is 100.
"""

_base_ = [
    "./parts/runtime.py",
    "./parts/imagenet_lt.py",
    "./parts/inat18.py",
    "./parts/ride.py",
]

max_epochs = 100

narrowed = dict(type="NarrowedResNet", width=0.75, backbone=_base_.model.backbone.backbone)
model = _base_.ride_model
model.data_preprocessor = _base_.image_statistics
model.backbone.backbone = dict(type="LTNormBackbone", backbone=narrowed)
model.head.num_classes = _base_.num_classes
model.head.loss.update(temperature_strength=0.015, defer_until=80)
model.head.loss.loss.defer_until = 80
train_dataloader = dict(dataset=_base_.train_set)
val_dataloader = dict(dataset=_base_.val_set)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(weight_decay=2e-4, nesterov=True))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.2, begin=0, end=4),
    dict(type="MultiStepLR", milestones=[60, 80], gamma=0.1),
]
