"""Shapes-LT, 10 classes, imbalance 50: ResNet-8 from scratch on a CPU in well under a minute."""

_base_ = ["./parts/runtime.py", "./parts/shapes.py"]

# Two, because a kill may come while one is being written.
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=2))
visualizer = dict(vis_backends=[dict(type="LocalVisBackend")])
