"""CIFAR-10-LT by CBN's recipe: 400 epochs of batch 128, lr 0.05, cosine; AutoAugment, no Cutout.

Momentum and weight decay, which the paper does not state, are PaCo's. The options of cls_cifar10_lt
hold, and for the leaves with CBN
    model.backbone.norm_cfg.num_components=8      other numbers M (CBN paper, Fig. 5)
    model.backbone.backbone.depth=110             20, 32, 44, 56, 110 (Fig. 6)
    model.backbone.norm_cfg.literal=True          update, then normalize (CBN paper, Sec. 3.1)
"""

_base_ = "./cls_cifar10_lt.py"

max_epochs = 400

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss", num_classes=_base_.num_classes)))

weak = [dict(type="PadCrop"), dict(type="HorizontalFlip")]
strong = [*weak, dict(type="ClsAutoAugment", policy="cifar10")]
train_pipeline = [*strong, dict(type="PackClsInputs")]
dual_path_pipeline = [dict(type="MultiView", views=[weak, strong]), dict(type="PackClsInputs")]
train_dataloader = dict(
    batch_size=128,
    sampler=dict(_delete_=True, type="DefaultSampler", shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=max_epochs, val_interval=10)
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = [dict(type="CosineAnnealingLR", T_max=max_epochs)]
auto_scale_lr = dict(base_batch_size=128)
# Epoch 320 is where decoupled training takes over.
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=20, max_keep_ckpts=5))
log_processor = dict(by_epoch=True)
