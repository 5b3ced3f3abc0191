"""iNaturalist 2018, ResNet-50, Balanced Softmax + CBN + SBN in all layers, dual-path learning.

    python tools/train.py configs/inat18/inat18_r50_cbn_dpl_all.py

CBN paper Table 7: 74.8. Not measured here.
The paper replaces all norms; k = 1 as on CIFAR-LT (docs/cbn.md).
All else is inat18_r50_cbn_dpl's.
"""

_base_ = "../_base_/cls_inat18_r50_dpl.py"

model = dict(
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4, shrinkage=1.0), positions="all")
)
