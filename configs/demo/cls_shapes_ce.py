"""Shapes-LT, ResNet-8, cross entropy.

    python tools/train.py configs/demo/cls_shapes_ce.py

No row in the papers.
Measured, 3 seeds: 59.7 ± 1.6 (few 21.6 ± 1.9, medium 61.0 ± 3.5, many 96.1 ± 1.4).
"""

_base_ = "../_base_/cls_demo_shapes.py"

custom_hooks = [*_base_.custom_hooks, dict(type="FeatureBiasHook")]
