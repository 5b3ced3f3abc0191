"""Own outlined objects in minutes on a CPU, without downloaded weights: a small Mask R-CNN.

Network and schedule are demo_mini_lvis.py's, for images of 192 pixels, of which 8 make a step. A
config on top of it is that of det_coco_format_masks.py.
"""

_base_ = "./demo_mini_lvis.py"

max_epochs = 36

train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = (192, 192)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (192, 192)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="CocoDataset",
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(_delete_=True, type="CocoDataset", test_mode=True, pipeline=test_pipeline)
)
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=max_epochs, val_interval=12)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type="CosineAnnealingLR", begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True
    ),
]
default_hooks = dict(logger=dict(interval=5))
