"""Shapes-LT, ResNet-8, cross entropy + variance regularization of strength 0.1.

    python tools/train.py configs/demo/cls_shapes_ce_variance.py

No row in the papers.
Measured, 3 seeds: 59.5 ± 1.2 (few 21.2 ± 2.7, medium 60.3 ± 1.8, many 96.6 ± 1.0).
With the same seeds cls_shapes_ce has 60.1 ± 1.4.
"""

_base_ = "../_base_/cls_demo_shapes.py"

custom_hooks = [*_base_.custom_hooks, dict(type="VarianceRegularizationHook", alpha=0.1)]
