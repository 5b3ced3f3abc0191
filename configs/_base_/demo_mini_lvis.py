"""The LVIS run made small: mini-LVIS, 128x128 images, a narrow Mask R-CNN R18-FPN from scratch.

Losses, heads, sampler, evaluation and hooks are those of configs/lvis/. What differs is size, and
what a network without pretrained weights needs: nothing frozen, batch statistics in training.
"""

_base_ = "./lvis_seesaw_2x.py"

num_classes = 24
# fmt: off
classes = [
    "plain_disc", "striped_square", "dotted_triangle", "checked_star", "plain_cross",
    "striped_ring", "dotted_crescent", "checked_heart", "plain_arrow", "striped_bolt",
    "checked_disc", "plain_square", "striped_triangle", "dotted_star", "checked_cross",
    "plain_ring", "striped_crescent", "dotted_heart", "checked_arrow", "plain_bolt",
    "dotted_disc", "checked_square", "plain_triangle", "striped_star",
]
# fmt: on
metainfo = dict(classes=classes)
max_epochs = 8
image_scale = (128, 128)
data_root = "data/mini_lvis/"

model = dict(
    backbone=dict(
        backbone=dict(
            depth=18,
            base_channels=32,
            stem_channels=32,
            frozen_stages=-1,
            norm_eval=False,
            zero_init_residual=False,  # batch norm's residual branches would start at 0, NBN's at 1
            init_cfg=None,
        )
    ),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(
            in_channels=64,
            fc_out_channels=256,
            num_classes=num_classes,
            loss_cls=dict(num_classes=num_classes),
        ),
        mask_roi_extractor=dict(out_channels=64),
        mask_head=dict(num_convs=2, in_channels=64, conv_out_channels=64, num_classes=num_classes),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=500, max_per_img=200),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100), rcnn=dict(max_per_img=50)),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Resize", scale=image_scale, keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=image_scale, keep_ratio=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + "annotations/lvis_v1_val.json")
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(lr=0.02), clip_grad=dict(max_norm=10, norm_type=2))
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type="CosineAnnealingLR", begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True
    ),
]
default_hooks = dict(logger=dict(interval=25))
randomness = dict(seed=0)
