"""CIFAR-100-LT, ResNet-32, Balanced Softmax + CBN + SBN in all layers, dual-path learning.

    python tools/train.py configs/cifar_lt/cifar100_cbn_dpl_all.py
    ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=50  # or 10

CBN paper Table 2, "Baseline + CBN + SBN + DPL": 53.31, 58.13, 65.35 at imbalance 100, 50, 10.
CBN paper Table 4: 53.3, 60.0 (sic), 65.4. Not measured here.
The paper replaces all norms; k = 1 as in the config of CBN alone (docs/cbn.md).
"""

_base_ = "../_base_/cls_cifar100_400e.py"

model = dict(
    type="DualPathClassifier",
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4, shrinkage=1.0), positions="all"),
)
train_dataloader = dict(dataset=dict(pipeline=_base_.dual_path_pipeline))
