"""CIFAR-100-LT by the recipe of CIFAR-10-LT, with the same options.

NBN's paper says that all its CIFAR-100-LT rows have 4x width, model.backbone.backbone.width=4; yet
cross entropy and Balanced Softmax at imbalance 200 are, to 0.1, what Balanced Softmax's code
reports at the standard width, which is this one.
"""

_base_ = ["./parts/runtime.py", "./parts/cifar.py", "./parts/cifar_13000_iterations.py"]

model = dict(head=dict(num_classes=100))
train_dataloader = _base_.batches
train_dataloader.dataset.type = "CIFAR100LT"
val_dataloader = dict(dataset=dict(type="CIFAR100LT"))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1000))
log_processor = dict(by_epoch=False)
