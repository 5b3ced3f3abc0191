"""CIFAR-10-LT, ResNet-32, Balanced Softmax by CBN's recipe; the options are in parts/cifar.py."""

_base_ = ["./parts/runtime.py", "./parts/cifar.py", "./parts/cifar_400_epochs.py"]

train_dataloader = _base_.batches
model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss")))
# Epoch 320 is where decoupled training takes over.
default_hooks = dict(checkpoint=dict(interval=20, max_keep_ckpts=5))
