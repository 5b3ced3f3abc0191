"""Shapes-LT, ResNet-8, cross entropy.

    python tools/train.py configs/demo/cls_shapes_ce.py

MEASURED
"""

_base_ = "../_base_/cls_demo_shapes.py"

custom_hooks = [*_base_.custom_hooks, dict(type="FeatureBiasHook")]
