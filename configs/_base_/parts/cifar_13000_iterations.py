"""The recipe of Balanced Softmax's code, as in NBN's paper, for CIFAR-LT.

13,000 iterations of 512 images, lr 0.05 to 0.1 in 800 of them, then cosine to 0. On G GPUs:
train_dataloader.batch_size=512/G.
"""

max_iters = 13000
warmup = 800

batches = dict(
    batch_size=512,
    drop_last=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        pipeline=[
            dict(type="PadCrop"),
            dict(type="HorizontalFlip"),
            dict(type="ClsAutoAugment", policy="cifar10"),
            dict(type="Cutout", size=16),
            dict(type="PackClsInputs"),
        ],
    ),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=1000)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=5e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.5, by_epoch=False, begin=0, end=warmup),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=warmup, end=max_iters),
]
auto_scale_lr = dict(base_batch_size=512)
