"""Shapes-LT, ResNet-8, RIDE with three experts: 24 and 48 channels in the last two stages.

Warm-up, and re-weighting and temperatures in the last 40 % of the epochs, as for LDAM-DRW.
"""

_base_ = ["./parts/runtime.py", "./parts/shapes.py", "./parts/ride.py"]

model = _base_.ride_model
model.backbone.backbone = _base_.model.backbone
model.backbone.backbone.backbone.channels = (16, 24, 48)
model.head.loss.defer_until = model.head.loss.loss.defer_until = 12
param_scheduler = _base_.warmed_up
# Two, because a kill may come while one is being written.
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=2))
visualizer = dict(vis_backends=[dict(type="LocalVisBackend")])
