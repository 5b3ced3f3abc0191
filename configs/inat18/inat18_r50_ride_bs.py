"""iNaturalist 2018, ResNet-50, RIDE with three experts, Balanced Softmax, linear classifiers.

    python tools/train.py configs/inat18/inat18_r50_ride_bs.py

No row in the papers: RIDE_BalancedSoftmaxLoss of the NBN authors' code.
Not measured here. Temperatures and the diversity factor, -0.2, are that code's.
"""

_base_ = "../_base_/cls_inat18_r50_ride.py"

model = dict(
    head=dict(predictor=dict(_delete_=True, type="Linear"), loss=_base_.ride_balanced_softmax)
)
