"""Shapes-LT, LDAM re-weighted in the last 40 % of the epochs, with LDAM's warm-up.

The warm-up is needed: without it the first steps can kill channels for the whole run. Seen with
RIDE, whose experts have this loss: one run of three lost 6 of its 16 shared channels.
"""

_base_ = ["./parts/runtime.py", "./parts/shapes.py"]

model = dict(
    head=dict(
        predictor=dict(type="NormedLinear", tempearture=1, bias=False),
        loss=dict(type="ClassBalancedLoss", defer_until=12, loss=dict(type="LDAMLoss")),
    )
)
param_scheduler = _base_.warmed_up
# Two, because a kill may come while one is being written.
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=2))
visualizer = dict(vis_backends=[dict(type="LocalVisBackend")])
