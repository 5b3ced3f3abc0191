"""Shapes-LT, ResNet-8, cross entropy + variance regularization of strength 0.1.

    python tools/train.py configs/demo/cls_shapes_ce_variance.py

No row in the papers.
Not measured here.
"""

_base_ = "../_base_/cls_demo_shapes.py"

custom_hooks = [*_base_.custom_hooks, dict(type="VarianceRegularizationHook", alpha=0.1)]
