"""Places-LT, ResNet-152 pretrained on ImageNet, Balanced Softmax + CBN + SBN, dual-path learning.

    python tools/train.py configs/places_lt/places_r152_cbn_dpl.py

CBN paper Table 6: 42.7. Not measured here.
Schedule and batch are the base's, for the paper states none for fine-tuning.
"""

_base_ = "../_base_/cls_places_lt_r152.py"

model = dict(
    type="DualPathClassifier",
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4)),
    head=dict(loss=dict(type="BalancedSoftmaxLoss")),
)
train_dataloader = dict(dataset=dict(pipeline=_base_.dual_path_pipeline))
