"""ImageNet-LT, ResNet-50, cross entropy: NBN's published recipe, as parts/imagenet_lt.py has it."""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py"]
