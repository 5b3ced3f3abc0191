"""Places-LT, ResNet-152 pretrained on ImageNet, cross entropy.

Neither paper states a recipe for this set: 30 epochs at lr 0.02 are PaCo's, 256 images a step (in
all) those of "Decoupling"; augmentation as for ImageNet-LT. All layers are fine-tuned.

data/places/ holds Places_LT_{train,val,test}.txt and the images in the layout of the lists:
train/airfield/00004851.jpg, or data_256/a/airfield/00004851.jpg with the lists of that flavour.
"""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py"]

data_root = "data/places/"
max_epochs = 30

model = dict(
    backbone=dict(
        backbone=dict(
            depth=152, init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet152")
        )
    ),
    head=dict(num_classes=365),
)
train_dataloader = dict(batch_size=256, dataset=dict(type="PlacesLT", data_root=data_root))
val_dataloader = dict(dataset=dict(type="PlacesLT", data_root=data_root))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = dict(T_max=max_epochs)
auto_scale_lr = dict(base_batch_size=256)
