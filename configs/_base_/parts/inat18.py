"""iNaturalist 2018 in the place of ImageNet-LT, for bases that put it into that set's recipe.

NBN's paper has a setup "similar to ImageNet-LT except" for 200 epochs. Images without colour jitter
and their statistics are those of NBN's code.

data/inat18/ holds iNaturalist18_{train,val}.txt, made by tools/make_inat_lists.py, and the images
in train_val2018/. There is no public test set: val is what the papers report.
"""

num_classes = 8142
image_statistics = dict(
    mean=[255 * 0.466, 255 * 0.471, 255 * 0.380],
    std=[255 * 0.195, 255 * 0.194, 255 * 0.192],
)
train_set = dict(
    type="INaturalist18",
    data_root="data/inat18/",
    pipeline=[
        dict(type="LoadImageFromFile"),
        dict(type="RandomResizedCrop", size=224),
        dict(type="HorizontalFlip"),
        dict(type="PackClsInputs"),
    ],
)
val_set = dict(type="INaturalist18", data_root="data/inat18/", split="val")
