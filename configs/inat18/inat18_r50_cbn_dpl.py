"""iNaturalist 2018, ResNet-50, Balanced Softmax + CBN + SBN, dual-path learning.

    python tools/train.py configs/inat18/inat18_r50_cbn_dpl.py

CBN paper Table 7: 74.8. Not measured here.
Batch, lr and epochs are those that the paper states for all sets; weight decay is PaCo's, image
statistics are the base's.
"""

_base_ = "../_base_/cls_inat18_r50_dpl.py"

model = dict(backbone=dict(norm_cfg=dict(type="CBN", num_components=4)))
