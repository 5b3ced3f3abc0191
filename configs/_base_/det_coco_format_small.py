"""Own objects in boxes in minutes on a CPU, without downloaded weights: a small Faster R-CNN.

It is det_coco_format_masks_small.py without its mask branch. A config on top of it is that of
det_coco_format.py.
"""

_base_ = "./det_coco_format_masks_small.py"

model = dict(type="FasterRCNN", roi_head=dict(mask_roi_extractor=None, mask_head=None))

train_pipeline = _base_.train_pipeline
train_pipeline[1].with_mask = False
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

val_evaluator = dict(metric="bbox")
test_evaluator = val_evaluator
