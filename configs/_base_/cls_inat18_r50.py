"""iNaturalist 2018, ResNet-50, cross entropy: the recipe of ImageNet-LT for 200 epochs.

So NBN's paper: a setup "similar to ImageNet-LT except" for the 200 epochs. Images without colour
jitter and their statistics are those of NBN's code. "Decoupling" (Kang et al.) has weight decay
1e-4, optim_wrapper.optimizer.weight_decay=1e-4. 512 images a step in all; on G GPUs give each
--cfg-options train_dataloader.batch_size=512/G.

data/inat18/ holds iNaturalist18_{train,val}.txt, made by tools/make_inat_lists.py, and the images
in train_val2018/. There is no public test set: val is what the papers report.
"""

_base_ = "./cls_imagenet_lt_r50.py"

data_root = "data/inat18/"
num_classes = 8142
max_epochs = 200

model = dict(
    data_preprocessor=dict(
        mean=[255 * 0.466, 255 * 0.471, 255 * 0.380],
        std=[255 * 0.195, 255 * 0.194, 255 * 0.192],
    ),
    head=dict(num_classes=num_classes),
)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomResizedCrop", size=224),
    dict(type="HorizontalFlip"),
    dict(type="PackClsInputs"),
]
train_dataloader = dict(
    dataset=dict(type="INaturalist18", data_root=data_root, pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(type="INaturalist18", data_root=data_root, split="val"))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=max_epochs)
param_scheduler = dict(T_max=max_epochs)
