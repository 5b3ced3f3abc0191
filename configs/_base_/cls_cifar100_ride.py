"""CIFAR-100-LT, ResNet-32, RIDE with three experts: its authors' recipe.

NBN's paper trains all its CIFAR-100-LT rows at 4x width: model.backbone.backbone.width=4, with NBN
model.backbone.backbone.backbone.width=4.
"""

_base_ = "./cls_cifar10_ride.py"

num_classes = 100

model = dict(
    head=dict(
        num_classes=num_classes,
        loss=dict(
            num_classes=num_classes,
            diversity_factor=-0.45,
            loss=dict(num_classes=num_classes, loss=dict(num_classes=num_classes)),
        ),
    )
)
train_dataloader = dict(dataset=dict(type="CIFAR100LT"))
val_dataloader = dict(dataset=dict(type="CIFAR100LT"))
test_dataloader = val_dataloader
