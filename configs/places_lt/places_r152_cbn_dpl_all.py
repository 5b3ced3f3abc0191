"""Places-LT, ResNet-152 from ImageNet, Balanced Softmax + CBN + SBN in all layers, dual paths.

    python tools/train.py configs/places_lt/places_r152_cbn_dpl_all.py

CBN paper Table 6: 42.7. Not measured here.
The paper replaces all norms; k = 1 as on CIFAR-LT (docs/cbn.md).
All else is places_r152_cbn_dpl's.
"""

_base_ = "../_base_/cls_places_lt_r152.py"

model = dict(
    type="DualPathClassifier",
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4, shrinkage=1.0), positions="all"),
    head=dict(loss=dict(type="BalancedSoftmaxLoss")),
)
train_dataloader = dict(dataset=dict(pipeline=_base_.dual_path_pipeline))
