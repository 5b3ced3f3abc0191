"""Digits-LT, imbalance 50: scikit-learn's handwritten digits, the network of Shapes-LT."""

_base_ = ["./parts/runtime.py", "./parts/shapes.py"]

max_epochs = 40

strong = [
    dict(type="PadCrop", padding=1),
    dict(type="ColorJitter", brightness=0.4, contrast=0.4),
    dict(type="Cutout", size=4),
]
strong_pipeline = [*strong, dict(type="PackClsInputs")]
dual_path_pipeline = [dict(type="MultiView", views=[[], strong]), dict(type="PackClsInputs")]

model = dict(backbone=dict(backbone=dict(stem_stride=1)))
train_dataloader = dict(
    dataset=dict(type="DigitsLT", data_root="", pipeline=[dict(type="PackClsInputs")])
)
val_dataloader = dict(dataset=dict(type="DigitsLT", data_root=""))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = dict(T_max=max_epochs)
# Two, because a kill may come while one is being written.
default_hooks = dict(checkpoint=dict(interval=10, max_keep_ckpts=2))
visualizer = dict(vis_backends=[dict(type="LocalVisBackend")])
