"""ImageNet-LT, ResNeXt-50-32x4d, LWS: stage two after imagenet_rx50_ce, a scale a class, 5 epochs.

    python tools/train.py configs/imagenet_lt/imagenet_rx50_lws.py

NBN paper Table II, decoupling LWS: 49.9 (few 30.3, medium 47.2, many 60.2).
Not measured here.
"""

_base_ = "../_base_/cls_imagenet_lt_r50_crt.py"

max_epochs = 5

model = dict(
    backbone=dict(backbone=dict(type="ResNeXt", groups=32, base_width=4)),
    first_stage="work_dirs/imagenet_rx50_ce/epoch_90.pth",
    kept=["backbone.*", "head.predictor.weight", "head.predictor.bias"],
    trainable=["head.predictor.scale"],
    head=dict(predictor=dict(type="LWSLinear")),
)
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = dict(T_max=max_epochs)
