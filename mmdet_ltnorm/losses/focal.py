"""Focal loss over a softmax; mmdet's ``FocalLoss`` is over sigmoids."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.arguments import checked_number
from mmdet_ltnorm.losses.base import SampleLoss


def softmax_focal_loss(logits: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    r"""Return the focal loss of each sample: cross entropy, less of it for easy samples.

    .. math:: -(1 - p_y)^\gamma \log p_y, \quad p = \mathrm{softmax}(z)

    after Lin et al., "Focal Loss for Dense Object Detection", Eq. 4.
    """
    cross_entropy = F.cross_entropy(logits, labels, reduction="none")
    wrong = -torch.expm1(-cross_entropy)  # 1 - p without cancellation
    # The power has no finite slope at 0 for gamma < 1.
    return wrong.clamp(min=torch.finfo(wrong.dtype).tiny).pow(gamma) * cross_entropy


@MODELS.register_module()
class SoftmaxFocalLoss(SampleLoss):
    """Focal loss over a softmax, which with ``gamma=0`` is cross entropy.

    It knows no classes, so in a box head the background is a class like the others.
    """

    def __init__(self, gamma: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma = checked_number("gamma", gamma, at_least=0)

    def sample_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the focal loss of each sample."""
        return softmax_focal_loss(logits, labels, self.gamma)
