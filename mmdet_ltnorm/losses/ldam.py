"""Label-distribution-aware margins: rarer classes keep a larger distance."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.arguments import checked_number
from mmdet_ltnorm.losses.base import ClassCounts, SampleLoss


def ldam_loss(
    cosines: Tensor,
    labels: Tensor,
    class_counts: Tensor,
    max_margin: float = 0.5,
    scale: float = 30.0,
) -> Tensor:
    r"""Return the cross entropy of each sample, with a margin subtracted from its class's cosine.

    .. math:: -\log\frac{e^{s(\cos\theta_y - m_y)}}
        {e^{s(\cos\theta_y - m_y)} + \sum_{j \ne y} e^{s\cos\theta_j}}, \quad
        m_j = m_{\max} \Bigl(\frac{\min_k n_k}{n_j}\Bigr)^{1/4}

    Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss"; the scale
    s and the largest margin are those of its authors' code.

    Raises:
        ValueError: the logits are not one for each class.
    """
    if cosines.shape[1] != len(class_counts):
        raise ValueError(
            f"logits have {cosines.shape[1]} columns and the class counts {len(class_counts)} "
            "classes: LDAM has no margin for a background, so they must be equal"
        )
    counts = class_counts.clamp(min=1).to(cosines)
    margins = max_margin * (counts.min() / counts).pow(0.25)
    margined = cosines.scatter_add(1, labels[:, None], -margins[labels][:, None])
    return F.cross_entropy(scale * margined, labels, reduction="none")


def check_cosines(logits: Tensor) -> None:
    """Check that logits are cosines; the host waits for the device then.

    Raises:
        ValueError: one of them is above 1 or below -1.
    """
    # Rounding to bfloat16 can take a cosine to 1 + 1/256.
    if logits.numel() and (largest := logits.detach().abs().max()) > 1.01:
        raise ValueError(
            f"LDAM's margins are on cosines, in [-1, 1], got a logit of {largest:.4g}: set "
            "predictor=dict(type='NormedLinear', tempearture=1, bias=False), or the loss's "
            "input_scale to the predictor's tempearture"
        )


@MODELS.register_module()
class LDAMLoss(ClassCounts, SampleLoss):
    """LDAM on the cosines of a ``NormedLinear`` without bias; for classifiers alone.

    Wrapped in ``ClassBalancedLoss`` with ``defer_until`` it is LDAM-DRW. ``custom_activation`` and
    ``get_activation`` are mmdet's way to say that probabilities are not the softmax of the logits.

    Args:
        input_scale: the factor of the cosines in the input, the ``tempearture`` of the predictor.

    Raises:
        ValueError: the logits of the first batch are not cosines.
    """

    custom_activation = True

    def __init__(
        self,
        num_classes: int,
        max_margin: float = 0.5,
        scale: float = 30.0,
        input_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, **kwargs)
        self.max_margin = checked_number("max_margin", max_margin, at_least=0)
        self.scale = checked_number("scale", scale, above=0)
        self.input_scale = checked_number("input_scale", input_scale, above=0)
        self._are_cosines = False  # checked once: the predictor stays the same in all steps

    def sample_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each sample from its cosines."""
        counts = self.known_class_counts()
        cosines = logits / self.input_scale
        if not self._are_cosines and not torch.compiler.is_compiling():
            check_cosines(cosines)
            self._are_cosines = True
        return ldam_loss(cosines, labels, counts, self.max_margin, self.scale)

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Return the probabilities of the classes from their cosines."""
        return torch.softmax(self.scale / self.input_scale * cls_score, 1, torch.float32)
