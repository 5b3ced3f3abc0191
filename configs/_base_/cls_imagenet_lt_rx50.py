"""ImageNet-LT by the same recipe with ResNeXt-50-32x4d."""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py"]

model = dict(backbone=dict(backbone=dict(type="ResNeXt", groups=32, base_width=4)))
