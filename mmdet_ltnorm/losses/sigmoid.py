"""The base of the equalization losses: a sigmoid for each class of a box head."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.arguments import checked_integer
from mmdet_ltnorm.losses.base import SampleLoss

PRIOR = math.log(0.001 / 0.999)  # the logit of the probability 0.001


class SigmoidBoxLoss(SampleLoss):
    """Binary cross entropies of a box head's classes, each with its weight.

    Probabilities are sigmoids of the logits plus ``PRIOR``: training must not start from a thousand
    classes of probability 1/2. The authors of the equalization losses initialize the classifier's
    bias so; mmdet's ``NormedLinear`` starts from zero whatever ``init_cfg`` says.

    The head asks the loss how many logits it needs, for scores and for the accuracy in the log.
    """

    custom_cls_channels = True
    custom_activation = True

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = checked_integer("num_classes", num_classes, at_least=1)

    def num_labels(self, logits: Tensor) -> int:
        """Return the number of labels, the background's included, which may have no logit."""
        return self.num_classes + 1

    def targets(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return 1 in the column of each label, (N, columns); the background's may be missing."""
        return F.one_hot(labels, self.num_classes + 1)[:, : logits.shape[1]].to(logits)

    def weights(self, targets: Tensor) -> Tensor:
        """Return the weight of each binary cross entropy, (N, columns)."""
        raise NotImplementedError

    def sample_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted sum of each sample's binary cross entropies."""
        targets = self.targets(logits, labels)
        weights = self.weights(targets)
        return F.binary_cross_entropy_with_logits(
            logits + PRIOR, targets, weights, reduction="none"
        ).sum(1)

    def get_cls_channels(self, num_classes: int) -> int:
        """Return the number of logits: one for each class."""
        if num_classes != self.num_classes:
            raise ValueError(
                f"the box head has num_classes={num_classes} and its {type(self).__name__} "
                f"num_classes={self.num_classes}: they must be equal"
            )
        return num_classes

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Return the scores of the classes and, as mmdet wants the last, of the background: 0."""
        return F.pad(torch.sigmoid(cls_score + PRIOR), (0, 1))

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the share of objects whose class has the largest logit, in percent."""
        right = cls_score[:, : self.num_classes].argmax(1) == labels  # the background is no class
        objects = (labels < self.num_classes).sum().clamp(min=1)
        return {"acc_classes": 100 * right.sum(0, keepdim=True) / objects}
