"""iNaturalist 2018, ResNet-50, BCL: 256 images a step in all, lr 0.2, 200 epochs.

Batch, lr and weight decay (1e-4) are those of BCL's code, which takes 100 epochs; 200 are those of
NBN's paper. On G GPUs give each --cfg-options train_dataloader.batch_size=256/G.
"""

_base_ = ["./cls_inat18_r50.py", "./cls_bcl.py"]

model = _base_.bcl_model
model.head.loss.num_classes = _base_.num_classes
train_dataloader = dict(batch_size=256, dataset=dict(pipeline=_base_.bcl_pipeline))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
auto_scale_lr = dict(base_batch_size=256)
