"""ImageNet-LT, ResNeXt-50-32x4d, BCL: 256 images a step in all, lr 0.1, cosine to 0 in 90 epochs.

Batch and lr are those of BCL's code, whose cosine is one epoch ahead. NBN's paper gives none. On G
GPUs give each --cfg-options train_dataloader.batch_size=256/G.
"""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py", "./parts/bcl.py"]

model = _base_.bcl_model
model.backbone = dict(backbone=dict(type="ResNeXt", groups=32, base_width=4))
train_dataloader = dict(batch_size=256, dataset=dict(pipeline=_base_.bcl_pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.1))
auto_scale_lr = dict(base_batch_size=256)
