"""ImageNet-LT, ResNeXt-50-32x4d, BCL: 256 images a step in all, lr 0.1, cosine to 0 in 90 epochs.

Batch and lr are those of BCL's code, whose cosine is one epoch ahead. NBN's paper gives none. On G
GPUs give each --cfg-options train_dataloader.batch_size=256/G.
"""

_base_ = ["./cls_imagenet_lt_rx50.py", "./cls_bcl.py"]

model = _base_.bcl_model
model.head.loss.num_classes = _base_.num_classes
train_dataloader = dict(batch_size=256, dataset=dict(pipeline=_base_.bcl_pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.1))
auto_scale_lr = dict(base_batch_size=256)
