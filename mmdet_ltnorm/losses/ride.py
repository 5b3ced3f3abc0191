"""RIDE's loss: the sum of the experts' losses, with a reward for their diversity."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.arguments import checked_number
from mmdet_ltnorm.losses.base import ClassCounts, Deferral


def expert_divergence(logits: Tensor, temperature: Tensor) -> Tensor:
    r"""Return each sample's divergence of the experts' predictions from their mean's.

    .. math:: \sum_{e=1}^{K} \mathrm{KL}\bigl(p(\bar z) \,\|\, p(z_e)\bigr), \quad
        p(z) = \mathrm{softmax}(z / T), \quad \bar z = \frac1K \sum_e z_e

    after Wang et al., "Long-tailed Recognition by Routing Diverse Distribution-Aware Experts", in
    the form of its authors' code; the paper compares all pairs of experts. No gradient flows
    through the mean.

    Shape: logits (N, K, C) and temperature (C,) to (N,).
    """
    mean = F.log_softmax(logits.detach().mean(1, keepdim=True) / temperature, 2)
    experts = F.log_softmax(logits / temperature, 2)
    return (mean.exp() * (mean - experts)).sum((1, 2))


def ride_temperature(
    class_counts: Tensor, strength: float = 0.05, dtype: torch.dtype = torch.float32
) -> Tensor:
    r"""Return RIDE's distribution-aware temperature of each class: lower for rarer ones, at most 1.

    .. math:: T_j = \frac{w_j}{\max_k w_k}, \quad w_j = r C \frac{n_j}{\sum_k n_k} + 1 - r

    The strength r, ``reweight_factor`` in the authors' code, is 0 for the same temperature.
    """
    counts = class_counts.to(dtype)
    weights = strength * counts / counts.mean() + 1 - strength
    return weights / weights.max()


@MODELS.register_module()
class RIDELoss(Deferral, ClassCounts):
    r"""Loss of several experts: the sum of their own, and a reward for their diversity.

    .. math:: \sum_e L(z_e, y) + \lambda \bar T^2 \sum_e \mathrm{KL}(p(\bar z)\,\|\,p(z_e))

    with the mean of the divergence over the batch and of the temperature over the classes.

    Args:
        loss: config of the loss L of each expert, called as ``loss(logits, labels)``. RIDE's is
            LDAM-DRW: ``LDAMLoss`` in ``ClassBalancedLoss``, deferred as this loss is.
        diversity_factor: :math:`\lambda`; negative to make the experts differ.
        temperature_strength: r of :func:`ride_temperature`.
        defer_until: before this epoch, counted from 0, all temperatures are 1.

    Shape: logits (N, K, C) of K experts and labels (N,) to a scalar.

    Raises:
        ValueError: ``temperature_strength`` outside of [0, 1).
    """

    def __init__(
        self,
        loss: dict[str, Any],
        num_classes: int,
        diversity_factor: float = -0.2,
        temperature_strength: float = 0.05,
        defer_until: int = 0,
    ) -> None:
        super().__init__(defer_until, num_classes=num_classes)
        checked_number("temperature_strength", temperature_strength, at_least=0, below=1)
        self.loss = MODELS.build(loss)
        self.diversity_factor = checked_number("diversity_factor", diversity_factor)
        self.temperature_strength = temperature_strength

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        strength = 0.0 if self.is_deferred() else self.temperature_strength
        temperature = ride_temperature(self.known_class_counts(), strength, logits.dtype)
        own = sum(self.loss(expert, labels) for expert in logits.unbind(1))
        diversity = expert_divergence(logits, temperature).sum() / max(len(logits), 1)
        return own + self.diversity_factor * temperature.mean() ** 2 * diversity
