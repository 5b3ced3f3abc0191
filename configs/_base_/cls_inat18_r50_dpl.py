"""iNaturalist 2018, ResNet-50, Balanced Softmax, dual-path learning for CBN's leaves.

Batch, lr and epochs are those that CBN's paper states for all sets; weight decay is PaCo's.
"""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py", "./parts/inat18.py"]

max_epochs = 400

model = dict(
    type="DualPathClassifier",
    data_preprocessor=_base_.image_statistics,
    head=dict(num_classes=_base_.num_classes, loss=dict(type="BalancedSoftmaxLoss")),
)
train_dataloader = dict(
    batch_size=128, dataset={**_base_.train_set, "pipeline": _base_.dual_path_pipeline}
)
val_dataloader = dict(dataset=_base_.val_set)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.05, weight_decay=1e-4))
param_scheduler = dict(T_max=max_epochs)
auto_scale_lr = dict(base_batch_size=128)
