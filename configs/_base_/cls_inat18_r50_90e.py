"""iNaturalist 2018, ResNet-50, cross entropy, 90 epochs: the first stage of NBN's Table VIII."""

_base_ = "./cls_inat18_r50.py"

max_epochs = 90

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = dict(T_max=max_epochs)
