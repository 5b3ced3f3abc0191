"""CIFAR-10-LT, ResNet-32, cross entropy: the recipe of Balanced Softmax's code, as in NBN's paper.

Options for other rows are in parts/cifar.py.
"""

_base_ = ["./parts/runtime.py", "./parts/cifar.py", "./parts/cifar_13000_iterations.py"]

train_dataloader = _base_.batches
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=1000))
log_processor = dict(by_epoch=False)
