"""ImageNet-LT, ResNet-50, Balanced Softmax, dual-path learning for CBN's leaves.

Batch, lr and epochs are those that CBN's paper states for all sets; weight decay and image
statistics are ImageNet-LT's.
"""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py"]

max_epochs = 400

model = dict(type="DualPathClassifier", head=dict(loss=dict(type="BalancedSoftmaxLoss")))
train_dataloader = dict(batch_size=128, dataset=dict(pipeline=_base_.dual_path_pipeline))
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = dict(T_max=max_epochs)
auto_scale_lr = dict(base_batch_size=128)
