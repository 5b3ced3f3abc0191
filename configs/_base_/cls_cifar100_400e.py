"""CIFAR-100-LT by CBN's recipe, with the same options as CIFAR-10-LT."""

_base_ = "./cls_cifar10_400e.py"

num_classes = 100

model = dict(head=dict(num_classes=num_classes, loss=dict(num_classes=num_classes)))
train_dataloader = dict(dataset=dict(type="CIFAR100LT"))
val_dataloader = dict(dataset=dict(type="CIFAR100LT"))
test_dataloader = val_dataloader
