"""A COCO-format data set of one's own with outlines: Mask R-CNN R50-FPN with Seesaw loss, one GPU.

It is det_coco_format.py with a mask branch. A segmentation may be polygons or run lengths. A config
on top of it says num_classes, the names of the classes and the paths: see the tutorial on
segmentation in docs/.
"""

_base_ = "./det_coco_format.py"

model = dict(
    type="MaskRCNN",
    data_preprocessor=dict(pad_mask=True),
    roi_head=dict(
        mask_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
        ),
        mask_head=dict(
            type="FCNMaskHead",
            num_convs=4,
            in_channels=256,
            conv_out_channels=256,
            num_classes=80,
            loss_mask=dict(type="CrossEntropyLoss", use_mask=True, loss_weight=1.0),
        ),
    ),
    train_cfg=dict(rcnn=dict(assigner=dict(match_low_quality=True), mask_size=28)),
    test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)),
)

train_pipeline = _base_.train_pipeline
train_pipeline[1].with_mask = True
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

val_evaluator = dict(metric=["bbox", "segm"])
test_evaluator = val_evaluator
