"""CIFAR-100-LT, ResNet-32, RIDE's expert assignment: stage two after cifar100_ride, the gate alone.

    python tools/train.py configs/cifar_lt/cifar100_ride_ea.py

No row in the papers. Not measured here. Five epochs of 512 images, classes balanced, lr 0.01: the
recipe of RIDE's authors. experts/used is the mean number of experts that an image needs.
"""

_base_ = "../_base_/cls_cifar100_ride.py"

max_epochs = 5

model = dict(
    type="ExpertAssignmentClassifier",
    first_stage="work_dirs/cifar100_ride/epoch_200.pth",
    kept=["backbone.*", "head.predictor.*"],
    trainable=["head.gate.*"],
    backbone_eval=True,
    head=dict(type="ExpertAssignmentHead", top_k=30),
)
train_dataloader = dict(
    batch_size=512, sampler=dict(_delete_=True, type="ClassPowerSampler", power=0)
)
val_evaluator = [dict(type="GroupAccuracy"), dict(type="ExpertsUsed")]
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [dict(type="CosineAnnealingLR", T_max=max_epochs)]
auto_scale_lr = dict(base_batch_size=512)
default_hooks = dict(checkpoint=dict(interval=2))
