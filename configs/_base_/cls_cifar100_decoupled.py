"""Decoupled training on CIFAR-100-LT: 80 % of the epochs for the features, 20 % for the classifier.

Stage one is cifar100_bs_400e up to epoch 320. Its classifier is fine-tuned with the features, and
their statistics, fixed; the lr continues the cosine of stage one. CBN's paper does not
state the loss of this stage: cross entropy, for sampling or weights do what Balanced Softmax did.
"""

_base_ = ["./parts/runtime.py", "./parts/cifar.py", "./parts/cifar_400_epochs.py"]

max_epochs = 80

model = dict(
    type="SecondStageClassifier",
    first_stage="work_dirs/cifar100_bs_400e/epoch_320.pth",
    kept=["backbone.*", "head.predictor.*"],
    backbone_eval=True,
    head=dict(num_classes=100),
)
train_dataloader = _base_.batches
train_dataloader.dataset.type = "CIFAR100LT"
val_dataloader = dict(dataset=dict(type="CIFAR100LT"))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.0048))
param_scheduler = [dict(type="CosineAnnealingLR", T_max=max_epochs)]
default_hooks = dict(checkpoint=dict(interval=20, max_keep_ckpts=5))
