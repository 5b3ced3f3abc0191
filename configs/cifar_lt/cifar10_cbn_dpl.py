"""CIFAR-10-LT, ResNet-32, Balanced Softmax + CBN + SBN, dual-path learning.

    python tools/train.py configs/cifar_lt/cifar10_cbn_dpl.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=50  # or 10

CBN paper Table 2, "Baseline + CBN + SBN + DPL": 84.98, 88.70, 91.82 at imbalance 100, 50, 10.
CBN paper Table 4: 85.0, 88.7, 91.8. Not measured here.
"""

_base_ = "../_base_/cls_cifar10_400e.py"

model = dict(type="DualPathClassifier", backbone=dict(norm_cfg=dict(type="CBN", num_components=4)))
train_dataloader = dict(dataset=dict(pipeline=_base_.dual_path_pipeline))
