"""Shapes-LT, ResNet-8, Balanced Softmax on the strong views of cls_shapes_cbn_dpl.

    python tools/train.py configs/demo/cls_shapes_bs_strong.py

No row in the papers. Measured, 5 seeds: 61.5 ± 2.1 (few 32.7 ± 9.1).
"""

_base_ = "../_base_/cls_demo_shapes.py"

model = dict(head=dict(loss=dict(type="BalancedSoftmaxLoss")))
train_dataloader = dict(dataset=dict(pipeline=_base_.strong_pipeline))
