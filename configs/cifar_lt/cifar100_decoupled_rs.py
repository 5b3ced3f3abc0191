"""CIFAR-100-LT, ResNet-32, decoupled training with re-sampling (each class equally often).

    python tools/train.py configs/cifar_lt/cifar100_decoupled_rs.py

CBN paper Table 3, row II: 49.62 (many 67.17, medium 50.61, few 28.54).
Not measured here.
Stage two after cifar100_bs_400e, of which it needs epoch 320.
"""

_base_ = "../_base_/cls_cifar100_decoupled.py"

train_dataloader = dict(sampler=dict(_delete_=True, type="ClassPowerSampler", power=0))
