"""Shapes-LT, ResNet-8, RIDE with three experts, Balanced Softmax, linear classifiers.

    python tools/train.py configs/demo/cls_shapes_ride_bs.py

No row in the papers. Not measured here.
"""

_base_ = "../_base_/cls_demo_shapes_ride.py"

model = dict(
    head=dict(predictor=dict(_delete_=True, type="Linear"), loss=_base_.ride_balanced_softmax)
)
