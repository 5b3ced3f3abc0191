"""CIFAR-10-LT, ResNet-32, RIDE with three experts, by the recipe of its authors' CIFAR-100-LT code.

200 epochs of batch 128, crop, flip and rotation; re-weighting and temperatures from epoch 160. The
last two stages have 24 and 48 channels. Their code has no config for CIFAR-10-LT: the diversity
factor, which they set for CIFAR-100-LT, is their default here.
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
model.head.loss.defer_until = model.head.loss.loss.defer_until = 160
train_dataloader = _base_.batches
train_dataloader.dataset.pipeline = _base_.rotating_pipeline
optim_wrapper = dict(optimizer=dict(weight_decay=5e-4, nesterov=True))
default_hooks = dict(checkpoint=dict(interval=10))
