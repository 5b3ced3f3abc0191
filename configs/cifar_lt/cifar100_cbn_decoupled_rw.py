"""CIFAR-100-LT, ResNet-32, CBN, decoupled training with re-weighting (effective numbers).

    python tools/train.py configs/cifar_lt/cifar100_cbn_decoupled_rw.py

CBN paper Table 3, row VII: 52.83 (many 69.34, medium 55.58, few 30.82). Not measured here.
Stage two after cifar100_cbn, of which it needs epoch 320.
"""

_base_ = "../_base_/cls_cifar100_decoupled.py"

model = dict(
    first_stage="work_dirs/cifar100_cbn/epoch_320.pth",
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4)),
    head=dict(loss=dict(type="ClassBalancedLoss", loss=dict(type="CrossEntropyLoss"))),
)
