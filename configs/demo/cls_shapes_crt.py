"""Shapes-LT, ResNet-8, cRT: stage two after cls_shapes_ce, a new classifier.

    python tools/train.py configs/demo/cls_shapes_crt.py

No row in the papers. Measured, 5 seeds: 70.2 ± 1.2 (few 55.3 ± 4.5).
"""

_base_ = "../_base_/cls_demo_shapes.py"

max_epochs = 10

model = dict(type="SecondStageClassifier", first_stage="work_dirs/cls_shapes_ce/epoch_20.pth")
train_dataloader = dict(sampler=dict(_delete_=True, type="ClassAwareSampler", num_sample_class=4))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = dict(T_max=max_epochs)
