"""Seesaw loss + CBN, experimental: seesaw_2x with CBN in the last stage's residuals.

    python tools/train.py configs/lvis/seesaw_cbn_2x.py

No row of a paper: CBN's paper has no detection. Time and score not measured here.
norm_eval=False, or the components would never be estimated; so all norms of stages 2-4 use the
batch's statistics. CBN's run over all ranks, plain batch norms' over one: give each GPU 4 images.
"""

_base_ = "../_base_/lvis_seesaw_2x.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone={**_base_.model.backbone, "norm_eval": False},
        norm_cfg=dict(type="CBN", num_components=4),
    )
)
