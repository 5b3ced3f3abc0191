"""iNaturalist 2018, ResNet-50, cross entropy + NBN.

    python tools/train.py configs/inat18/inat18_r50_ce_nbn.py

NBN paper Table VIII, Stage 1 NBN (90 epochs): 63.3 (few 59.3, medium 64.3, many 73.4).
By --cfg-options train_cfg.max_epochs=90 param_scheduler.T_max=90. Without NBN: 62.3.
Not measured here.
"""

_base_ = "../_base_/cls_inat18_r50.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="NBN"),
    ),
)
