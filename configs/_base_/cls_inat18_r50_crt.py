"""Stage two of cRT on iNaturalist 2018: as on ImageNet-LT, 30 epochs."""

_base_ = "./cls_inat18_r50.py"

max_epochs = 30

model = dict(type="SecondStageClassifier")
train_dataloader = dict(
    sampler=dict(_delete_=True, type="ClassAwareSampler", num_sample_class=4),
)
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = dict(T_max=max_epochs)
