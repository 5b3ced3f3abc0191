"""iNaturalist 2018, ResNet-50, BCL: 256 images a step in all, lr 0.2, 200 epochs.

Batch, lr and weight decay (1e-4) are those of BCL's code, which takes 100 epochs; 200 are those of
NBN's paper. On G GPUs give each --cfg-options train_dataloader.batch_size=256/G.
"""

_base_ = [
    "./parts/runtime.py",
    "./parts/imagenet_lt.py",
    "./parts/inat18.py",
    "./parts/bcl.py",
]

max_epochs = 200

model = _base_.bcl_model
model.data_preprocessor = _base_.image_statistics
model.head.num_classes = _base_.num_classes
train_dataloader = dict(
    batch_size=256, dataset={**_base_.train_set, "pipeline": _base_.bcl_pipeline}
)
val_dataloader = dict(dataset=_base_.val_set)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
param_scheduler = dict(T_max=max_epochs)
auto_scale_lr = dict(base_batch_size=256)
