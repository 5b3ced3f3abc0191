"""ImageNet-LT, ResNet-50, cross entropy: NBN's published recipe.

512 images a step in all, lr 0.2, cosine to 0 in 90 epochs, no warm-up. On G GPUs give each
--cfg-options train_dataloader.batch_size=512/G.

No checkpoint is chosen by its score, so training shows the accuracy on the test list, which the
papers report. The list made for choosing is val_dataloader.dataset.split=val.

data/imagenet/ holds ImageNet_LT_{train,val,test}.txt and the images: train/<class>/*.JPEG and
val/<class>/*.JPEG, the validation images sorted into folders of their classes.
"""

data_root = "data/imagenet/"
max_epochs = 90

model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor",
        mean=[255 * 0.485, 255 * 0.456, 255 * 0.406],
        std=[255 * 0.229, 255 * 0.224, 255 * 0.225],
        bgr_to_rgb=True,
    ),
    # mmdet's defaults suit fine-tuning: norms in eval mode, residual branches that start at 0.
    backbone=dict(
        type="LTNormBackbone",
        backbone=dict(
            type="ResNet",
            depth=50,
            out_indices=(3,),
            norm_eval=False,
            zero_init_residual=False,
        ),
    ),
    head=dict(
        type="ClsHead",
        num_classes=1000,
        predictor=dict(type="Linear"),
        loss=dict(type="CrossEntropyLoss"),
    ),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", size=224),
    dict(type="HorizontalFlip"),
    dict(type="ColorJitter", brightness=0.4, contrast=0.4, saturation=0.4),
    dict(type="PackClsInputs"),
]
weak = [*train_pipeline[:3]]
strong = [*weak, dict(type="ClsAutoAugment", policy="imagenet")]
# For DualPathClassifier, weak and strong views; CBN's paper says crop and flip, and AutoAugment.
dual_path_pipeline = [
    weak[0],
    dict(type="MultiView", views=[weak[1:], strong[1:]]),
    dict(type="PackClsInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="ResizeShortestEdge", scale=256, max_size=100000),
    dict(type="CenterCrop", crop_size=224),
    dict(type="PackClsInputs"),
]
train_dataloader = dict(
    batch_size=512,
    collate_fn=dict(type="default_collate"),
    num_workers=16,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="ImageNetLT",
        data_root=data_root,
        split="train",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=256,
    collate_fn=dict(type="default_collate"),
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="ImageNetLT",
        data_root=data_root,
        split="test",
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=5)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.2, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type="CosineAnnealingLR", T_max=max_epochs)
auto_scale_lr = dict(base_batch_size=512)
