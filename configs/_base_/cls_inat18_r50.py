"""iNaturalist 2018, ResNet-50, cross entropy: the recipe of ImageNet-LT for 200 epochs.

"Decoupling" (Kang et al.) has weight decay 1e-4, optim_wrapper.optimizer.weight_decay=1e-4. 512
images a step in all; on G GPUs give each --cfg-options train_dataloader.batch_size=512/G.
"""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py", "./parts/inat18.py"]

max_epochs = 200

model = dict(
    data_preprocessor=_base_.image_statistics,
    head=dict(num_classes=_base_.num_classes),
)
train_dataloader = dict(dataset=_base_.train_set)
val_dataloader = dict(dataset=_base_.val_set)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = dict(T_max=max_epochs)
