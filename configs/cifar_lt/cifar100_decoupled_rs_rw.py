"""CIFAR-100-LT, ResNet-32, decoupled training with re-sampling and re-weighting.

    python tools/train.py configs/cifar_lt/cifar100_decoupled_rs_rw.py

CBN paper Table 3, row IV: 50.66 (many 60.73, medium 52.47, few 37.07).
Not measured here.
Stage two after cifar100_bs_400e, of which it needs epoch 320.
"""

_base_ = "../_base_/cls_cifar100_decoupled.py"

model = dict(head=dict(loss=dict(type="ClassBalancedLoss", loss=dict(type="CrossEntropyLoss"))))
train_dataloader = dict(sampler=dict(_delete_=True, type="ClassPowerSampler", power=0))
