"""Shapes-LT, 10 classes, imbalance 50: ResNet-8 from scratch on a CPU in well under a minute.

`python tools/make_shapes_lt.py data/shapes_lt` makes the data; `make demo-cls` does so itself.
"""

data_root = "data/shapes_lt/"
max_epochs = 20

model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(type="ClsDataPreprocessor", mean=[128] * 3, std=[64] * 3),
    backbone=dict(type="LTNormBackbone", backbone=dict(type="ResNetCIFAR", depth=8, stem_stride=2)),
    head=dict(
        type="ClsHead",
        num_classes=10,
        predictor=dict(type="Linear"),
        loss=dict(type="CrossEntropyLoss"),
    ),
)

weak = [dict(type="HorizontalFlip")]
strong = [
    *weak,
    dict(type="PadCrop", padding=2),
    dict(type="ColorJitter", brightness=0.4, contrast=0.4),
    dict(type="Cutout", size=8),
]
train_pipeline = [*weak, dict(type="PackClsInputs")]
strong_pipeline = [*strong, dict(type="PackClsInputs")]
dual_path_pipeline = [dict(type="MultiView", views=[weak, strong]), dict(type="PackClsInputs")]
train_dataloader = dict(
    batch_size=32,
    collate_fn=dict(type="default_collate"),
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="ShapesLT",
        data_root=data_root,
        split="train",
        imbalance_factor=50,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=250,
    collate_fn=dict(type="default_collate"),
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="ShapesLT",
        data_root=data_root,
        split="test",
        pipeline=[dict(type="PackClsInputs")],
        test_mode=True,
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type="CosineAnnealingLR", T_max=max_epochs, convert_to_iter_based=True)
# LDAM's.
warmed_up = [
    dict(type="LinearLR", start_factor=0.02, begin=0, end=2, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", begin=2, end=max_epochs, convert_to_iter_based=True),
]
