"""Seesaw loss + NBN, repeat-factor sampling, normalized mask head: seesaw_rfs_2x with NBN.

    python tools/train.py configs/lvis/seesaw_nbn_rfs_2x.py

No row in the papers: compare with seesaw_rfs_2x.
Not measured here.
"""

_base_ = "../_base_/lvis_seesaw_2x.py"

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ClassBalancedDataset",
        oversample_thr=1e-3,
        dataset=_base_.train_dataloader.dataset,
    )
)
model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="NBN"),
        positions="residual",
        share="all",
    ),
    roi_head=dict(mask_head=dict(predictor_cfg=dict(type="NormedConv2d", tempearture=20))),
)
