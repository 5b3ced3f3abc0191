"""Shapes-LT, ResNet-8, Balanced Softmax + CBN in the order of the paper's Sec. 3.1, literal=True.

    python tools/train.py configs/demo/cls_shapes_cbn_literal.py

No row in the papers. Measured, 5 seeds: 65.4 ± 3.2 (few 63.5 ± 10.1). Paired with cls_shapes_bs:
-4.9 ± 1.4. Mutual information of pixels and components: 0.86 log M.
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4, literal=True)),
    head=dict(loss=dict(type="BalancedSoftmaxLoss")),
)
