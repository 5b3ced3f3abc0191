"""CIFAR-100-LT by CBN's recipe, with the same options as CIFAR-10-LT."""

_base_ = ["./parts/runtime.py", "./parts/cifar.py", "./parts/cifar_400_epochs.py"]

model = dict(head=dict(num_classes=100, loss=dict(type="BalancedSoftmaxLoss")))
train_dataloader = _base_.batches
train_dataloader.dataset.type = "CIFAR100LT"
val_dataloader = dict(dataset=dict(type="CIFAR100LT"))
test_dataloader = val_dataloader
# Epoch 320 is where decoupled training takes over.
default_hooks = dict(checkpoint=dict(interval=20, max_keep_ckpts=5))
