"""Shapes-LT, ResNet-8, RIDE's expert assignment: stage two after cls_shapes_ride, the gate alone.

    python tools/train.py configs/demo/cls_shapes_ride_ea.py

No row in the papers. Measured, seeds 0 to 2: 79.3 ± 2.1 (many 91.0, medium 78.4, few 68.8), with
1.44 of the 3 experts an image.
"""

_base_ = "../_base_/cls_demo_shapes_ride.py"

max_epochs = 5

model = dict(
    type="ExpertAssignmentClassifier",
    first_stage="work_dirs/cls_shapes_ride/epoch_20.pth",
    kept=["backbone.*", "head.predictor.*"],
    trainable=["head.gate.*"],
    backbone_eval=True,
    head=dict(type="ExpertAssignmentHead", top_k=3),
)
train_dataloader = dict(sampler=dict(_delete_=True, type="ClassPowerSampler", power=0))
val_evaluator = [dict(type="GroupAccuracy"), dict(type="ExpertsUsed")]
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [dict(type="CosineAnnealingLR", T_max=max_epochs, convert_to_iter_based=True)]
default_hooks = dict(checkpoint=dict(interval=2))
