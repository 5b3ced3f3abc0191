"""Seesaw loss + CBN, experimental: seesaw_2x with CBN in the last stage's residuals.

    python tools/train.py configs/lvis/seesaw_cbn_2x.py

No row in the papers: CBN's has no detection. Not measured here.
With norm_eval=True the components would never be estimated, so it is False, and all norms of stages
2-4 use the batch's statistics: CBN's over all ranks, plain batch norms' over one. Give each GPU 4
images.
"""

_base_ = "../_base_/lvis_seesaw_2x.py"

model = dict(
    backbone=dict(backbone=dict(norm_eval=False), norm_cfg=dict(type="CBN", num_components=4))
)
