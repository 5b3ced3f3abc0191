"""CIFAR-100-LT, ResNet-32, RIDE with three experts: its authors' recipe.

NBN's paper trains all its CIFAR-100-LT rows at 4x width:
model.backbone.backbone.backbone.width=4.
"""

_base_ = [
    "./parts/runtime.py",
    "./parts/cifar.py",
    "./parts/cifar_200_epochs.py",
    "./parts/ride.py",
]

model = _base_.ride_model
model.backbone.backbone = _base_.model.backbone
model.backbone.backbone.backbone.channels = (16, 24, 48)
model.head.num_classes = 100
model.head.loss.diversity_factor = -0.45
model.head.loss.defer_until = model.head.loss.loss.defer_until = 160
train_dataloader = _base_.batches
train_dataloader.dataset.update(type="CIFAR100LT", pipeline=_base_.rotating_pipeline)
val_dataloader = dict(dataset=dict(type="CIFAR100LT"))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(weight_decay=5e-4, nesterov=True))
default_hooks = dict(checkpoint=dict(interval=10))
