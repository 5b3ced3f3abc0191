"""Weights of classes by their effective number of samples, from the start or deferred."""

import math
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.arguments import checked_number
from mmdet_ltnorm.losses.base import ClassCounts, Deferral, background_columns


def effective_number_weights(
    class_counts: Tensor, beta: float = 0.9999, dtype: torch.dtype = torch.float32
) -> Tensor:
    r"""Return a weight for each class, inverse to its effective number, with the mean 1.

    .. math:: w_j \propto \frac{1 - \beta}{1 - \beta^{n_j}}, \quad \sum_j w_j = C

    Cui et al., "Class-Balanced Loss Based on Effective Number of Samples": with beta = 0 all
    weights are 1, towards beta = 1 they become inverse to the counts.
    """
    checked_number("beta", beta, at_least=0, below=1)
    log_beta = math.log(beta) if beta else -math.inf
    weights = -1 / torch.expm1(log_beta * class_counts.clamp(min=1).to(dtype))
    return weights / weights.mean()


@MODELS.register_module()
class ClassBalancedLoss(Deferral, ClassCounts):
    """Another loss, with samples weighted by the effective number of their class's samples.

    With mmdet's ``CrossEntropyLoss`` it is class-balanced cross entropy, with ``SoftmaxFocalLoss``
    class-balanced focal loss, with ``LDAMLoss`` and ``defer_until=160`` LDAM-DRW. The background of
    a box head has the weight 1, the mean of the classes' weights.

    Without an ``avg_factor`` the mean is the weighted one, over the sum of the class weights in the
    batch, as in LDAM's code and torch: the step keeps its size when re-weighting sets in.

    Args:
        loss: Config of the loss; it takes sample weights as mmdet's losses do.
        beta: 0 for equal weights, near 1 for weights inverse to the counts.
        defer_until: Before this epoch, counted from 0, all weights are 1.
    """

    def __init__(
        self,
        loss: dict[str, Any],
        num_classes: int,
        beta: float = 0.9999,
        defer_until: int = 0,
    ) -> None:
        super().__init__(defer_until, num_classes=num_classes)
        self.loss = MODELS.build(loss)
        self.beta = checked_number("beta", beta, at_least=0, below=1)

    @property
    def custom_activation(self) -> bool:
        """Whether ``get_activation`` turns logits into probabilities, instead of a softmax."""
        return getattr(self.loss, "custom_activation", False)

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Return the probabilities of the inner loss."""
        return self.loss.get_activation(cls_score)

    def class_weights(self, logits: Tensor) -> Tensor:
        """Return the current weight of each column of the logits."""
        counts = self.known_class_counts()
        background = background_columns(logits, counts)
        dtype = torch.promote_types(logits.dtype, torch.float32)
        weights = effective_number_weights(counts, 0.0 if self.is_deferred() else self.beta, dtype)
        return F.pad(weights, (0, background), value=1.0)

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Return the inner loss of samples weighted by their classes."""
        class_weights = self.class_weights(cls_score)
        # The inner loss knows which labels it ignores; those outside of the classes weigh nothing.
        outside = (label < 0) | (label >= len(class_weights))
        balance = class_weights[label.masked_fill(outside, 0)].masked_fill(outside, 0)
        if avg_factor is None and (reduction_override or self.loss.reduction) == "mean":
            avg_factor = balance.sum()
        weight = balance if weight is None else weight * balance
        logits = cls_score.to(class_weights.dtype)
        return self.loss(logits, label, weight, avg_factor, reduction_override, **kwargs)
