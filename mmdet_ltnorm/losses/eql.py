"""Equalization loss: objects are no negative examples for rare classes."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor

from mmdet_ltnorm.arguments import checked_number
from mmdet_ltnorm.class_groups import image_counts
from mmdet_ltnorm.losses.sigmoid import SigmoidBoxLoss


def eql_weights(targets: Tensor, rare: Tensor) -> Tensor:
    r"""Return the weights of the binary cross entropies, (N, C) as the targets.

    .. math:: w_j = 1 - E(r)\, T_\lambda(f_j)\, (1 - y_j)

    Tan et al., "Equalization Loss for Long-Tailed Object Recognition", CVPR 2020. E is 1 for a
    proposal of an object, which has a target, and 0 for the background; T, here ``rare`` (C,), is 1
    for the classes of a frequency below lambda. So the background still counts as a negative for
    rare classes, and objects of other classes do not.
    """
    is_object = targets.sum(1, keepdim=True)
    return 1 - is_object * rare * (1 - targets)


@MODELS.register_module()
class EqualizationLoss(SigmoidBoxLoss):
    """EQL for mmdet's box heads: sigmoids of the classes, none for the background.

    Args:
        num_classes: C, that of the head.
        ann_file: the training annotations in LVIS's format, whose categories tell in how many
            images they are. Read when training starts; tests do not need the file.
        threshold: classes in a smaller share of the images are rare, the paper's lambda.

    Raises:
        FileNotFoundError, ValueError: the file is not there, lacks the counts, or has another
            number of categories.
    """

    rare: Tensor | None

    def __init__(self, num_classes: int, ann_file: str, threshold: float, **kwargs: Any) -> None:
        super().__init__(num_classes, **kwargs)
        self.ann_file = ann_file
        self.threshold = checked_number("threshold", threshold, at_least=0, at_most=1)
        # Not in checkpoints, which then serve for other annotations and losses too.
        self.register_buffer("rare", None, persistent=False)

    def init_weights(self) -> None:
        """Read which classes are rare; mmengine calls this before training."""
        counts, images = image_counts(self.ann_file)
        if len(counts) != self.num_classes:
            raise ValueError(
                f"{self.ann_file} has {len(counts)} categories and EqualizationLoss has "
                f"num_classes={self.num_classes}: they must be equal"
            )
        self.rare = torch.from_numpy(counts / images < self.threshold)

    def weights(self, targets: Tensor) -> Tensor:
        """Return the weights for the rare classes."""
        if self.rare is None:
            self.init_weights()
        self.rare = self.rare.to(targets)
        return eql_weights(targets, self.rare)
