"""CIFAR-100-LT, ResNet-32, LWS: stage two after cifar100_ce, one scale a class.

    python tools/train.py configs/cifar_lt/cifar100_lws.py
    ... --work-dir DIR --cfg-options model.first_stage=FILE \
        train_dataloader.dataset.imbalance_factor=200

NBN paper Table I, decoupling LWS: 47.5, 53.3, 58.7 at imbalance 200, 100, 50.
Not measured here.
The length of stage two is our choice; its imbalance must be that of stage one.
The paper says 4x width for CIFAR-100, model.backbone.backbone.width=4. Which width the row has is
unclear: cross entropy and Balanced Softmax seem to have the standard one.
"""

_base_ = "../_base_/cls_cifar100_lt.py"

max_epochs = 10

model = dict(
    type="SecondStageClassifier",
    first_stage="work_dirs/cifar100_ce/iter_13000.pth",
    kept=["backbone.*", "head.predictor.weight", "head.predictor.bias"],
    trainable=["head.predictor.scale"],
    head=dict(predictor=dict(type="LWSLinear")),
)
train_dataloader = dict(sampler=dict(_delete_=True, type="ClassAwareSampler", num_sample_class=4))
train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=max_epochs)
param_scheduler = [dict(type="CosineAnnealingLR", T_max=max_epochs)]
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=1))
log_processor = dict(by_epoch=True)
