"""CIFAR-10-LT, ResNet-32, cross entropy: the network and the data. A recipe adds the training.

Other rows by --cfg-options:
    train_dataloader.dataset.imbalance_factor=50     10, 50, 100 (here), 200; 1 is balanced CIFAR
    model.backbone.backbone.width=4                  4x width
    model.backbone.backbone.depth=110                20, 32 (here), 44, 56, 110 (CBN paper, Fig. 6)
    model.backbone.norm_cfg.num_components=8         other numbers M, with CBN (Fig. 5)
    model.backbone.norm_cfg.literal=True             update, then normalize (Sec. 3.1)
    randomness.seed=1
"""

model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor",
        mean=[255 * 0.4914, 255 * 0.4822, 255 * 0.4465],
        std=[255 * 0.2023, 255 * 0.1994, 255 * 0.2010],
        bgr_to_rgb=True,
    ),
    backbone=dict(type="LTNormBackbone", backbone=dict(type="ResNetCIFAR", depth=32)),
    head=dict(
        type="ClsHead",
        num_classes=10,
        predictor=dict(type="Linear"),
        loss=dict(type="CrossEntropyLoss"),
    ),
)

# A recipe's ``batches`` complete it.
train_dataloader = dict(
    collate_fn=dict(type="default_collate"),
    num_workers=4,
    persistent_workers=True,
    dataset=dict(type="CIFAR10LT", data_root="data/cifar/", split="train", imbalance_factor=100),
)
val_dataloader = dict(
    batch_size=500,
    collate_fn=dict(type="default_collate"),
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CIFAR10LT",
        data_root="data/cifar/",
        split="test",
        pipeline=[dict(type="PackClsInputs")],
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
