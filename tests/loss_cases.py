"""Class counts, losses and logits for the tests of the losses: five long-tailed classes."""

import torch
from mmengine.registry import MODELS
from torch import Tensor

import mmdet_ltnorm.losses  # noqa: F401, registers them

COUNTS = torch.tensor([500, 120, 31, 7, 1])
COUNT_LOSSES = {
    "BalancedSoftmaxLoss": dict(type="BalancedSoftmaxLoss", num_classes=5),
    "LDAMLoss": dict(type="LDAMLoss", num_classes=5),
    "ClassBalancedLoss": dict(
        type="ClassBalancedLoss", num_classes=5, loss=dict(type="mmdet.CrossEntropyLoss")
    ),
}


def built(name: str, **options):
    """Return one of these losses with the class counts set."""
    loss = MODELS.build(COUNT_LOSSES[name] | options)
    loss.set_class_counts(COUNTS.tolist())
    return loss


def batch(columns: int = 5, size: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return random logits between -1 and 1, the range of cosines, and labels."""
    torch.manual_seed(seed)
    return torch.rand(size, columns) * 2 - 1, torch.randint(0, columns, (size,))
