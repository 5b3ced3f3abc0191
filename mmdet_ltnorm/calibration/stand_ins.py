"""Replacements of a head's loss in a test: heads ask their loss to turn logits into scores."""

import torch
from torch import Tensor, nn

from mmdet_ltnorm.calibration.scores import divide_by_frequency, normalize_logits
from mmdet_ltnorm.losses.base import ClassCounts


class FrequencyDivided(ClassCounts):
    """Divides the scores of a head by a power of the class counts."""

    custom_cls_channels = custom_activation = True  # heads then call get_activation

    def __init__(self, loss: nn.Module, num_classes: int, strength: float) -> None:
        super().__init__(num_classes)
        self.loss = loss
        self.strength = strength

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Return the divided scores."""
        scores = scores_of(self.loss, cls_score)
        return divide_by_frequency(scores, self.known_class_counts(), self.strength)


class LogitNormalized(nn.Module):
    """Normalizes the logits of a head before they become scores."""

    custom_cls_channels = custom_activation = True

    def __init__(self, loss: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.loss = loss
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Return the scores of the normalized logits."""
        return scores_of(self.loss, normalize_logits(cls_score, self.mean, self.std))


def scores_of(loss: nn.Module, logits: Tensor) -> Tensor:
    """Return the scores that a head with this loss computes from logits."""
    # mmdet's box heads look for the first, our heads for the second.
    custom = ("custom_cls_channels", "custom_activation")
    if not any(getattr(loss, name, False) for name in custom):
        return logits.softmax(1)
    return loss.get_activation(logits)


def check_scores(loss: nn.Module, columns: int, device: torch.device) -> None:
    """Check that scores are probabilities of classes that exclude each other.

    Raises:
        ValueError: scores of logits with this number of columns do not sum to 1.
    """
    logits = torch.tensor([[1.0], [2.0]]) * torch.linspace(-3, 3, columns)
    total = scores_of(loss, logits.to(device)).sum(1)
    if not torch.allclose(total, torch.ones_like(total), atol=1e-3):
        raise ValueError(
            "calibration needs scores that sum to 1, as those of a softmax or of Seesaw do; "
            f"{type(loss).__name__} gives sums such as {total[0]:.4g}"
        )
