"""The recipe of CBN's paper for CIFAR-LT: 400 epochs of batch 128, lr 0.05, cosine; AutoAugment.

Momentum and weight decay, which the paper does not state, are PaCo's. There is no Cutout.
"""

max_epochs = 400

weak = [dict(type="PadCrop"), dict(type="HorizontalFlip")]
strong = [*weak, dict(type="ClsAutoAugment", policy="cifar10")]
dual_path_pipeline = [dict(type="MultiView", views=[weak, strong]), dict(type="PackClsInputs")]
batches = dict(
    batch_size=128,
    drop_last=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(pipeline=[*strong, dict(type="PackClsInputs")]),
)
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=10)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.05, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type="CosineAnnealingLR", T_max=max_epochs)]
auto_scale_lr = dict(base_batch_size=128)
