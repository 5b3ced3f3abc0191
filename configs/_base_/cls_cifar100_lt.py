"""CIFAR-100-LT by the recipe of CIFAR-10-LT, with the same options.

NBN's paper says that all its CIFAR-100-LT rows have 4x width, model.backbone.width=4; yet cross
entropy and Balanced Softmax at imbalance 200 are, to 0.1, what Balanced Softmax's code reports at
the standard width, which is this one.
"""

_base_ = "./cls_cifar10_lt.py"

num_classes = 100

model = dict(head=dict(num_classes=num_classes))
train_dataloader = dict(dataset=dict(type="CIFAR100LT"))
val_dataloader = dict(dataset=dict(type="CIFAR100LT"))
test_dataloader = val_dataloader
