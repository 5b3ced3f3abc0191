"""Digits-LT, imbalance 50: scikit-learn's handwritten digits, the network of Shapes-LT."""

_base_ = "./cls_demo_shapes.py"

max_epochs = 40

strong = [
    dict(type="PadCrop", padding=1),
    dict(type="ColorJitter", brightness=0.4, contrast=0.4),
    dict(type="Cutout", size=4),
]
strong_pipeline = [*strong, dict(type="PackClsInputs")]
dual_path_pipeline = [dict(type="MultiView", views=[[], strong]), dict(type="PackClsInputs")]

model = dict(backbone=dict(stem_stride=1))
train_dataloader = dict(
    dataset=dict(type="DigitsLT", data_root="", pipeline=[dict(type="PackClsInputs")])
)
val_dataloader = dict(dataset=dict(type="DigitsLT", data_root=""))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = dict(T_max=max_epochs)
default_hooks = dict(checkpoint=dict(interval=max_epochs // 4))
