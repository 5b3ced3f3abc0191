"""Shapes-LT, ResNet-8, LWS: stage two after cls_shapes_ce, one scale a class.

    python tools/train.py configs/demo/cls_shapes_lws.py

No row in the papers.
Measured, 5 seeds: few 46.9 ± 4.6 (cls_shapes_ce with the same seeds 18.8 ± 2.1).
"""

_base_ = "../_base_/cls_demo_shapes.py"

max_epochs = 10

model = dict(
    type="SecondStageClassifier",
    first_stage="work_dirs/cls_shapes_ce/epoch_20.pth",
    kept=["backbone.*", "head.predictor.weight", "head.predictor.bias"],
    trainable=["head.predictor.scale"],
    head=dict(predictor=dict(type="LWSLinear")),
)
train_dataloader = dict(sampler=dict(_delete_=True, type="ClassAwareSampler", num_sample_class=4))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = dict(T_max=max_epochs)
