"""LVIS v1 as the NBN paper trains it: mmdet's Seesaw recipe at batch 4 and lr 0.005, 24 epochs."""

_base_ = "mmdet::seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss_random-ms-2x_lvis-v1.py"

custom_imports = dict(imports=["mmdet_ltnorm"], allow_failed_imports=False)

model = dict(
    backbone=dict(_delete_=True, type="LTNormBackbone", backbone=_base_.model.backbone),
    roi_head=dict(bbox_head=dict(loss_cls=dict(type="LTSeesawLoss"))),  # the same in less time
)

# 0.02 for 16 images, by the linear rule; --auto-scale-lr continues it to other batch sizes.
train_dataloader = dict(batch_size=4, num_workers=4)
optim_wrapper = dict(optimizer=dict(lr=0.005))
auto_scale_lr = dict(base_batch_size=4)

val_evaluator = dict(
    _delete_=True,
    type="LTLVISMetric",
    ann_file=_base_.val_dataloader.dataset.data_root + _base_.val_dataloader.dataset.ann_file,
    metric=["bbox", "segm"],
)
test_evaluator = val_evaluator

custom_hooks = [
    dict(type="CheckClassesHook"),
    dict(type="CheckNormsHook"),
    dict(type="MagnitudeHook"),
]
# Three, because a save that a kill cuts short must leave a complete one to resume from.
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=3),
    resume=dict(type="ResumeHook"),
    missing_validation=dict(type="MissingValidationHook"),
    randomness=dict(type="RandomnessHook"),
    finite=dict(type="FiniteHook"),
)
# The other ranks wait while rank 0 scores 20,000 images; the default of 10 minutes ends the job.
env_cfg = dict(dist_cfg=dict(timeout=7200))
vis_backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
visualizer = dict(vis_backends=vis_backends)
