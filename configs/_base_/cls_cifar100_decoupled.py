"""Decoupled training on CIFAR-100-LT: 80 % of the epochs for the features, 20 % for the classifier.

Stage one is cifar100_bs_400e up to epoch 320. Its classifier is fine-tuned with the features, and
their statistics, fixed; the lr goes on where the cosine of stage one stands. CBN's paper does not
state the loss of this stage: cross entropy, for sampling or weights do what Balanced Softmax did.
"""

_base_ = "./cls_cifar100_400e.py"

max_epochs = 80

model = dict(
    type="SecondStageClassifier",
    first_stage="work_dirs/cifar100_bs_400e/epoch_320.pth",
    kept=["backbone.*", "head.predictor.*"],
    backbone_eval=True,
    head=dict(loss=dict(_delete_=True, type="CrossEntropyLoss")),
)
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.0048))
param_scheduler = [dict(type="CosineAnnealingLR", T_max=max_epochs)]
