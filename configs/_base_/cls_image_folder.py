"""Images of one's own, in a folder for each class: ResNet-18 from ImageNet's weights, on one GPU.

A config on top of it says num_classes, the two data_roots and, for another length, max_epochs: see
the tutorial on classification in docs/.
"""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py"]

max_epochs = 30

model = dict(
    backbone=dict(
        backbone=dict(
            depth=18, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet18")
        )
    ),
    head=dict(
        _delete_=True,
        type="ClsHead",
        predictor=dict(type="Linear"),
        loss=dict(type="CrossEntropyLoss"),
    ),
)

train_pipeline = [*_base_.weak, dict(type="PackClsInputs")]
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    drop_last=False,
    dataset=dict(_delete_=True, type="ImageFolder", pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(_delete_=True, type="ImageFolder", pipeline=_base_.test_pipeline, test_mode=True),
)
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = dict(T_max=max_epochs, convert_to_iter_based=True)
auto_scale_lr = dict(base_batch_size=32)
