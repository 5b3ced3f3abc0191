"""Equalization loss v2: each class's positive and negative gradients are balanced."""

from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.losses.sigmoid import PRIOR, SigmoidBoxLoss


def eqlv2_weights(
    positive: Tensor, negative: Tensor, gamma: float = 12.0, mu: float = 0.8, alpha: float = 4.0
) -> tuple[Tensor, Tensor]:
    r"""Return the weights of each class's positive and negative gradients.

    .. math:: q = 1 + \alpha (1 - r), \quad
        r = \frac{1}{1 + e^{-\gamma (g - \mu)}}, \quad g = \frac{G^+}{G^-}

    Tan et al., "Equalization Loss v2: A New Gradient Balance Approach for Long-tailed Object
    Detection", CVPR 2021, of the gradients accumulated so far, which were weighted too. A class
    without any is balanced: its weights are 1.
    """
    ratio = torch.where(negative > 0, positive / negative, torch.inf)
    negative_weight = torch.sigmoid(gamma * (ratio - mu))
    return 1 + alpha * (1 - negative_weight), negative_weight


@MODELS.register_module()
class EqualizationLossV2(SigmoidBoxLoss):
    """EQL v2 for mmdet's box heads: sigmoids of the classes, and one more for the background.

    The background's, the last logit, has weights of 1, and the classes' scores are multiplied by
    its complement. After the loss of each training step the gradients of all ranks are added to the
    buffers ``positive`` and ``negative`` (C,), which are in checkpoints.

    It stands in for mmdet 3.3.0's ``EQLV2Loss``, with which box heads score by a softmax: they do
    not see that it has an activation of its own.
    """

    positive: Tensor
    negative: Tensor

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(num_classes, **kwargs)
        self.register_buffer("positive", torch.zeros(num_classes))
        self.register_buffer("negative", torch.zeros(num_classes))

    def weights(self, targets: Tensor) -> Tensor:
        """Return the weights from the gradients of earlier steps."""
        positive, negative = eqlv2_weights(self.positive, self.negative)
        weights = torch.where(targets[:, :-1] > 0, positive, negative)
        return F.pad(weights, (0, 1), value=1.0).to(targets)

    def sample_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted sum of each sample's binary cross entropies, and accumulate."""
        losses = super().sample_losses(logits, labels)
        if self.training:
            self._accumulate(logits.detach(), labels)
        return losses

    def _accumulate(self, logits: Tensor, labels: Tensor) -> None:
        targets = self.targets(logits, labels)
        gradients = self.weights(targets) * (torch.sigmoid(logits + PRIOR) - targets).abs()
        of_class = torch.stack([targets * gradients, (1 - targets) * gradients])[..., :-1].sum(1)
        # What is not finite would stay in the sums for ever, and on all ranks.
        of_class = of_class.where(of_class.isfinite(), 0)
        all_reduce(of_class)
        self.positive += of_class[0]
        self.negative += of_class[1]

    def get_cls_channels(self, num_classes: int) -> int:
        """Return the number of logits: one for each class, and one for the background."""
        return super().get_cls_channels(num_classes) + 1

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Return the scores of the classes and of the background."""
        classes, background = torch.sigmoid(cls_score + PRIOR).split([self.num_classes, 1], dim=1)
        return torch.cat([classes * (1 - background), background], dim=1)
