"""ImageNet, all of it, ResNet-50, cross entropy: by the recipe of ImageNet-LT.

The paper states no other for this row. No list files: data/imagenet/ holds train/<class>/*.JPEG and
val/<class>/*.JPEG, the validation images sorted into folders of their classes.
"""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py"]

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ImageFolder",
        data_root=_base_.data_root + "train",
        pipeline=_base_.train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ImageFolder",
        data_root=_base_.data_root + "val",
        pipeline=_base_.test_pipeline,
        test_mode=True,
    )
)
test_dataloader = val_dataloader
