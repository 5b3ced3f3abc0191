"""ImageNet-LT, ResNet-50, cross entropy + variance regularization of strength 0.1.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_variance_01.py

NBN paper Table IV, Variance regularization (α̃ = 0.1): 44.9 (few 10.5,
medium 38.1, many 65.4).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

custom_hooks = [*_base_.custom_hooks, dict(type="VarianceRegularizationHook", alpha=0.1)]
