"""Shapes-LT, ResNet-8, Balanced Softmax + CBN in the last norms.

    python tools/train.py configs/demo/cls_shapes_cbn.py

No row in the papers. Measured, 5 seeds: 71.7 ± 1.3 (few 62.4 ± 2.9). Paired with cls_shapes_bs:
+1.4 ± 0.6. Mutual information of pixels and components: 0.89 log M.
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4)),
    head=dict(loss=dict(type="BalancedSoftmaxLoss")),
)
