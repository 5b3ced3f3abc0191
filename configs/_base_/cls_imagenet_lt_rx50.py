"""ImageNet-LT by the same recipe with ResNeXt-50-32x4d."""

_base_ = "./cls_imagenet_lt_r50.py"

model = dict(backbone=dict(type="ResNeXt", groups=32, base_width=4))
