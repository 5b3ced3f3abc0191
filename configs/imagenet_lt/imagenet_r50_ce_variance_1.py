"""ImageNet-LT, ResNet-50, cross entropy + variance regularization of strength 1.

    python tools/train.py configs/imagenet_lt/imagenet_r50_ce_variance_1.py

NBN paper Table IV, Variance regularization (α̃ = 1): 43.3 (few 7.0, medium
36.1, many 65.0).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50.py"

custom_hooks = [*_base_.custom_hooks, dict(type="VarianceRegularizationHook", alpha=1)]
