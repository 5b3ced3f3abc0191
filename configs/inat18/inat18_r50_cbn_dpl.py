"""iNaturalist 2018, ResNet-50, Balanced Softmax + CBN + SBN, dual-path learning.

    python tools/train.py configs/inat18/inat18_r50_cbn_dpl.py

CBN paper Table 7: 74.8. Not measured here.
Batch, lr and epochs are those that the paper states for all sets; weight decay is PaCo's, image
statistics are the base's.
"""

_base_ = "../_base_/cls_inat18_r50.py"

model = dict(
    type="DualPathClassifier",
    backbone=dict(
        _delete_=True,
        type="LTNormBackbone",
        backbone=_base_.model.backbone,
        norm_cfg=dict(type="CBN", num_components=4),
    ),
    head=dict(loss=dict(type="BalancedSoftmaxLoss", num_classes=_base_.num_classes)),
)
train_dataloader = dict(batch_size=128, dataset=dict(pipeline=_base_.dual_path_pipeline))
train_cfg = dict(max_epochs=400)
optim_wrapper = dict(optimizer=dict(lr=0.05, weight_decay=1e-4))
param_scheduler = dict(T_max=400)
auto_scale_lr = dict(base_batch_size=128)
