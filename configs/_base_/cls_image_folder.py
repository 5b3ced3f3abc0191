"""Images of one's own, in a folder for each class: ResNet-18 from ImageNet's weights, on one GPU.

A config on top of it says num_classes, the two data_roots and, for another length, max_epochs: see
the tutorial on classification in docs/.
"""

_base_ = "./parts/runtime.py"

max_epochs = 30

model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor",
        mean=[255 * 0.485, 255 * 0.456, 255 * 0.406],
        std=[255 * 0.229, 255 * 0.224, 255 * 0.225],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type="LTNormBackbone",
        backbone=dict(
            type="ResNet",
            depth=18,
            out_indices=(3,),
            norm_eval=False,
            zero_init_residual=False,
            init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet18"),
        ),
    ),
    head=dict(type="ClsHead", predictor=dict(type="Linear"), loss=dict(type="CrossEntropyLoss")),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", size=224),
    dict(type="HorizontalFlip"),
    dict(type="PackClsInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeShortestEdge", scale=256, max_size=100000),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackClsInputs"),
]
train_dataloader = dict(
    batch_size=32,
    collate_fn=dict(type="default_collate"),
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="ImageFolder", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=32,
    collate_fn=dict(type="default_collate"),
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="ImageFolder", pipeline=test_pipeline, test_mode=True),
)
test_dataloader = val_dataloader

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=5)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type="CosineAnnealingLR", T_max=max_epochs, convert_to_iter_based=True)
auto_scale_lr = dict(base_batch_size=32)
