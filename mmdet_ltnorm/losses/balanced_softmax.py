"""Balanced Softmax, which is the logit-adjusted loss with tau = 1."""

import math
from typing import Any

from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.arguments import checked_number
from mmdet_ltnorm.losses.base import ClassCounts, SampleLoss, background_columns


def balanced_softmax_loss(
    logits: Tensor, labels: Tensor, class_counts: Tensor, tau: float = 1.0
) -> Tensor:
    r"""Return the cross entropy of each sample with logits adjusted by the class frequencies.

    .. math:: -\log \frac{n_y^\tau e^{z_y}}{\sum_j n_j^\tau e^{z_j}}

    Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition" (tau = 1); Menon et al.,
    "Long-tail learning via logit adjustment", the logit-adjusted loss.

    A background column, the last of ``len(class_counts) + 1``, has no count: its factor is 1, and
    the classes' are :math:`n_j^\tau` over their mean. So equal counts give plain cross entropy.
    With any counts, classes with equal logits compete with the background as in cross entropy.
    """
    background = background_columns(logits, class_counts)
    log_factor = tau * class_counts.clamp(min=1).to(logits).log()
    log_factor = log_factor - log_factor.logsumexp(0) + math.log(len(class_counts))
    return F.cross_entropy(logits + F.pad(log_factor, (0, background)), labels, reduction="none")


@MODELS.register_module()
class BalancedSoftmaxLoss(ClassCounts, SampleLoss):
    """Balanced Softmax, or logit adjustment with ``tau``; tests use the logits as they are.

    In a box head the background's logit is not adjusted.
    """

    def __init__(self, num_classes: int, tau: float = 1.0, **kwargs: Any) -> None:
        super().__init__(num_classes, **kwargs)
        self.tau = checked_number("tau", tau, at_least=0)

    def sample_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the adjusted cross entropy of each sample."""
        return balanced_softmax_loss(logits, labels, self.known_class_counts(), self.tau)
