"""CIFAR-100-LT, ResNet-32, decoupled training with re-weighting (effective numbers).

    python tools/train.py configs/cifar_lt/cifar100_decoupled_rw.py

CBN paper Table 3, row III: 50.56 (many 62.49, medium 52.08, few 35.21).
Not measured here.
Stage two after cifar100_bs_400e, of which it needs epoch 320.
"""

_base_ = "../_base_/cls_cifar100_decoupled.py"

model = dict(head=dict(loss=dict(type="ClassBalancedLoss", loss=dict(type="CrossEntropyLoss"))))
