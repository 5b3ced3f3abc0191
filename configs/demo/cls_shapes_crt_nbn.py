"""Shapes-LT, ResNet-8, cRT + NBN: stage two after cls_shapes_ce_nbn, a new classifier.

    python tools/train.py configs/demo/cls_shapes_crt_nbn.py

No row in the papers. Measured, 5 seeds: 67.4 ± 3.1 (few 48.7 ± 9.3). Paired with cls_shapes_crt:
-2.8 ± 1.5 (few -6.6 ± 4.2).
"""

_base_ = "../_base_/cls_demo_shapes.py"

max_epochs = 10

model = dict(
    type="SecondStageClassifier",
    first_stage="work_dirs/cls_shapes_ce_nbn/epoch_20.pth",
    backbone=dict(norm_cfg=dict(type="NBN")),
)
train_dataloader = dict(sampler=dict(_delete_=True, type="ClassAwareSampler", num_sample_class=4))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = dict(T_max=max_epochs)
