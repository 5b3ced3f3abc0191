"""CIFAR-10-LT, ResNet-32, cross entropy: the recipe of Balanced Softmax's code, as in NBN's paper.

13,000 iterations of 512 images, lr 0.05 to 0.1 in 800 of them, then cosine to 0.

Other rows by --cfg-options:
    train_dataloader.dataset.imbalance_factor=50     10, 50, 100 (here), 200; 1 is balanced CIFAR
    model.backbone.width=4                           4x width (with NBN: model.backbone.backbone.)
    randomness.seed=1
On G GPUs: train_dataloader.batch_size=512/G.
"""

_base_ = "./cls_runtime.py"

data_root = "data/cifar/"
num_classes = 10
max_iters = 13000
warmup = 800

model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor",
        mean=[255 * 0.4914, 255 * 0.4822, 255 * 0.4465],
        std=[255 * 0.2023, 255 * 0.1994, 255 * 0.2010],
        bgr_to_rgb=True,
    ),
    backbone=dict(type="ResNetCIFAR", depth=32),
    head=dict(
        type="ClsHead",
        num_classes=num_classes,
        predictor=dict(type="Linear"),
        loss=dict(type="CrossEntropyLoss"),
    ),
)

train_pipeline = [
    dict(type="PadCrop"),
    dict(type="HorizontalFlip"),
    dict(type="ClsAutoAugment", policy="cifar10"),
    dict(type="Cutout", size=16),
    dict(type="PackClsInputs"),
]
train_dataloader = dict(
    batch_size=512,
    collate_fn=dict(type="default_collate"),
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="CIFAR10LT",
        data_root=data_root,
        split="train",
        imbalance_factor=100,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=500,
    collate_fn=dict(type="default_collate"),
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CIFAR10LT",
        data_root=data_root,
        split="test",
        pipeline=[dict(type="PackClsInputs")],
        test_mode=True,
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=1000)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=5e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.5, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters),
]
auto_scale_lr = dict(base_batch_size=512)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1000))
log_processor = dict(by_epoch=False)
