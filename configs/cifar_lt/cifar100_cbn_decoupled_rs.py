"""CIFAR-100-LT, ResNet-32, CBN, decoupled training with re-sampling (each class equally often).

    python tools/train.py configs/cifar_lt/cifar100_cbn_decoupled_rs.py

CBN paper Table 3, row VI: 52.76 (many 70.32, medium 55.17, few 29.97). Not measured here.
Stage two after cifar100_cbn, of which it needs epoch 320.
"""

_base_ = "../_base_/cls_cifar100_decoupled.py"

model = dict(
    first_stage="work_dirs/cifar100_cbn/epoch_320.pth",
    backbone=dict(norm_cfg=dict(type="CBN", num_components=4)),
)
train_dataloader = dict(sampler=dict(_delete_=True, type="ClassPowerSampler", power=0))
