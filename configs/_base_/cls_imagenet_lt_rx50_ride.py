"""ImageNet-LT, ResNeXt-50-32x4d, RIDE with four experts: its authors' recipe.

100 epochs of 256 images a step in all, lr 0.1 after 5 epochs of warm-up, a tenth of it from 60 and
from 80 on; re-weighting and temperatures from 80. The last two stages have 192 and 384 channels
before the expansion of bottlenecks. On G GPUs: train_dataloader.batch_size=256/G.
"""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py", "./parts/ride.py"]

max_epochs = 100

host = {**_base_.model.backbone.backbone, **dict(type="ResNeXt", groups=32, base_width=4)}
narrowed = dict(type="NarrowedResNet", width=0.75, backbone=host)
model = _base_.ride_model
model.backbone.update(num_experts=4, backbone=dict(type="LTNormBackbone", backbone=narrowed))
model.head.num_experts = 4
model.head.loss.update(temperature_strength=0.02, defer_until=80)
model.head.loss.loss.defer_until = 80
train_dataloader = dict(batch_size=256)
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.1, weight_decay=2e-4, nesterov=True))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.2, begin=0, end=4),
    dict(type="MultiStepLR", milestones=[60, 80], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=256)
