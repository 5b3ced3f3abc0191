"""CIFAR-10-LT, ResNet-32, LDAM with deferred re-weighting, by LDAM's recipe."""

_base_ = ["./parts/runtime.py", "./parts/cifar.py", "./parts/cifar_200_epochs.py"]

model = dict(
    head=dict(
        predictor=dict(type="NormedLinear", tempearture=1, bias=False),
        loss=dict(type="ClassBalancedLoss", defer_until=160, loss=dict(type="LDAMLoss")),
    )
)
train_dataloader = _base_.batches
default_hooks = dict(checkpoint=dict(interval=10))
