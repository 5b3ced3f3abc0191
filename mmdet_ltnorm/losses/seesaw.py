"""Seesaw loss as mmdet's, without waiting for the device; imports mmdet, so import it late."""

from typing import Any

import torch
from mmdet.models.losses import SeesawLoss, accuracy
from mmdet.models.losses.cross_entropy_loss import cross_entropy
from mmdet.models.losses.utils import weight_reduce_loss
from mmengine.dist import all_reduce
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmdet_ltnorm.arguments import checked_choice, checked_flag, checked_integer, checked_number
from mmdet_ltnorm.losses.base import REDUCTIONS, check_labels


class LTSeesawLoss(SeesawLoss):
    """mmdet's ``SeesawLoss``: equal losses, gradients and counts, in less time.

    Nothing in it waits for the device: there is no loop over the labels, and no shape depends on
    them; the background's rows are computed, too, and count nothing. The exception is
    ``reduction='none'``, whose result has a row for each sample that is no background.

    The samples seen so far are in the buffer ``cum_samples`` (num_classes + 1,), mmdet's name, so
    that checkpoints of either class load into the other.

    Args:
        sync_counts: count the samples of all ranks, so that N ranks equal one with all samples.
            mmdet's ranks count their own, and its checkpoints keep those of the first.
        **options: those of ``SeesawLoss``.

    Raises:
        TypeError, ValueError: an option is no number, or out of range.
    """

    def __init__(self, sync_counts: bool = False, **options: Any) -> None:
        checked_integer("num_classes", options.get("num_classes", 1203), at_least=1)
        checked_flag("use_sigmoid", options.get("use_sigmoid", False))
        super().__init__(**options)
        checked_number("p", self.p, at_least=0)
        checked_number("q", self.q, at_least=0)
        checked_number("eps", self.eps, above=0)
        checked_number("loss_weight", self.loss_weight, at_least=0)
        checked_choice("reduction", self.reduction, REDUCTIONS)
        checked_flag("return_dict", self.return_dict)
        self.sync_counts = checked_flag("sync_counts", sync_counts)

    def forward(
        self,
        cls_score: Tensor,
        labels: Tensor,
        label_weights: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor | dict[str, Tensor]:
        """Count the labels, and return the losses of the (N, num_classes + 2) scores."""
        check_labels(labels, self.num_classes + 1)
        self.count(labels)
        reduction = reduction_override or self.reduction
        scores = cls_score.to(torch.promote_types(cls_score.dtype, torch.float32))
        classes, objectness = scores.split([self.num_classes, 2], dim=1)
        if label_weights is None:
            label_weights = torch.ones_like(labels, dtype=torch.float32)
        weights = label_weights.float()
        positive = labels < self.num_classes
        to_objectness = cross_entropy(
            objectness, (~positive).long(), weights, reduction, avg_factor
        )
        counts = self.cum_samples[: self.num_classes]
        known = labels.where(positive, 0)
        losses = seesaw_losses(classes, known, counts, self.p, self.q, self.eps)
        losses = losses.where(positive, 0)
        if reduction == "none":
            losses, weights = losses[positive], weights[positive]
        elif reduction == "mean" and avg_factor is None:
            avg_factor = positive.sum()
        to_classes = weight_reduce_loss(losses, weights, reduction, avg_factor)
        named = {"loss_cls_objectness": to_objectness, "loss_cls_classes": to_classes}
        named = {name: self.loss_weight * loss for name, loss in named.items()}
        return named if self.return_dict else sum(named.values())

    @torch.no_grad()
    def count(self, labels: Tensor) -> None:
        """Add the labels to the samples seen so far."""
        # The batch is counted apart: a float32 count that grows by one at a time stops at 2^24.
        seen = torch.zeros_like(self.cum_samples)
        seen.index_add_(0, labels, torch.ones_like(labels, dtype=seen.dtype))
        if self.sync_counts:
            all_reduce(seen)
        self.cum_samples += seen

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the accuracy of objectness and of classes, in percent."""
        positive = labels < self.num_classes
        classes, objectness = cls_score.split([self.num_classes, 2], dim=1)
        right = (classes.argmax(1) == labels).sum(0, keepdim=True)  # the background equals no class
        return {
            "acc_objectness": accuracy(objectness, (~positive).long()),
            "acc_classes": 100 * right / positive.sum().clamp(min=1),
        }


def seesaw_losses(
    logits: Tensor, labels: Tensor, counts: Tensor, p: float, q: float, eps: float
) -> Tensor:
    r"""Return the Seesaw loss of each sample.

    .. math:: -\log \frac{e^{z_y}}{\sum_j S_{yj} e^{z_j}}, \quad
        S_{yj} = \min\Bigl(1, \frac{N_j}{N_y}\Bigr)^p
        \max\Bigl(1, \frac{\sigma_j}{\max(\sigma_y, \epsilon)}\Bigr)^q, \quad
        \sigma = \mathrm{softmax}(z)

    Wang et al., "Seesaw Loss for Long-Tailed Instance Segmentation". No gradient flows through S.
    Counts N below 1 are 1.
    """
    return _SeesawLosses.apply(logits, labels[:, None], counts, p, q, eps)


class _SeesawLosses(torch.autograd.Function):
    """The Seesaw losses with a hand-written gradient, in half of autograd's passes.

    One exponential serves the softmax and the loss; the gradient is computed at once and saved.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, counts: Tensor, p: float, q: float, eps: float
    ) -> Tensor:
        powers = counts.clamp(min=1).to(logits).pow(p)
        own_power = powers[labels]
        largest = logits.amax(1, keepdim=True)
        exps = (logits - largest).exp_()
        rival = torch.maximum(exps.gather(1, labels), eps * exps.sum(1, keepdim=True))
        # S e^z up to the factor of a row; S is 1 for the label, by the minimum and the maximum.
        terms = (exps / rival).clamp_(min=1).pow_(q).mul_(exps)
        terms.mul_(torch.minimum(powers, own_power))
        total = terms.sum(1, keepdim=True)
        losses = (total / own_power).log() + largest - logits.gather(1, labels)
        ctx.save_for_backward(terms.scatter_(1, labels, terms.gather(1, labels) - total), total)
        return losses[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        terms, total = ctx.saved_tensors
        return terms * (gradient[:, None] / total), None, None, None, None, None
