"""Stage two of cRT on iNaturalist 2018: as on ImageNet-LT, 30 epochs."""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py", "./parts/inat18.py"]

max_epochs = 30

model = dict(
    type="SecondStageClassifier",
    data_preprocessor=_base_.image_statistics,
    head=dict(num_classes=_base_.num_classes),
)
train_dataloader = dict(
    sampler=dict(_delete_=True, type="ClassAwareSampler", num_sample_class=4),
    dataset=_base_.train_set,
)
val_dataloader = dict(dataset=_base_.val_set)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = dict(T_max=max_epochs)
