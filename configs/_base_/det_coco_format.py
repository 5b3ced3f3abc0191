"""A COCO-format data set of one's own: Faster R-CNN R50-FPN with Seesaw loss, on one GPU.

The files are those of `tools/coco_to_lvis.py`, which adds what the scores by frequency need. A
config on top of it says num_classes, the names of the classes and the paths: see the tutorial on
detection in docs/.
"""

_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"

custom_imports = dict(imports=["mmdet_ltnorm"], allow_failed_imports=False)

model = dict(
    backbone=dict(_delete_=True, type="LTNormBackbone", backbone=_base_.model.backbone),
    roi_head=dict(
        bbox_head=dict(
            cls_predictor_cfg=dict(type="NormedLinear", tempearture=20),  # spelt so in mmdet
            loss_cls=dict(_delete_=True, type="SeesawLoss", p=0.8, q=2.0),
        )
    ),
    # As on LVIS: rare classes have low scores, and the metric takes up to 300 detections an image.
    test_cfg=dict(rcnn=dict(score_thr=1e-4, max_per_img=300)),
)

# 0.02 for 16 images, by the linear rule; --auto-scale-lr continues it to other batch sizes.
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=0.005))
auto_scale_lr = dict(base_batch_size=4)

val_evaluator = dict(_delete_=True, type="LTLVISMetric", metric="bbox")
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
vis_backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
visualizer = dict(vis_backends=vis_backends)
