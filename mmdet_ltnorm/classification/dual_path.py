"""Training through CBN's two paths: compound, and split by groups of classes (SBN)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.class_groups import group_of_classes
from mmdet_ltnorm.classification.classifier import ImageClassifier
from mmdet_ltnorm.norms import shared_num_components, split_into


class TwoPathClassifier(ImageClassifier):
    """A classifier with CBN layers that also has a path split by groups of classes.

    A subclass's ``loss`` says what training does with the two paths; prediction is the compound
    path, which needs no labels.

    Args:
        grouping: which classes form a group; see
            :func:`~mmdet_ltnorm.class_groups.group_of_classes`.

    Raises:
        ValueError: the backbone has no CBN layers, or layers that differ in ``num_components``, or
            the classes cannot be grouped like that.
    """

    class_groups: Tensor

    def __init__(self, *args: Any, grouping: str = "contiguous", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.grouping = grouping
        self.num_groups = shared_num_components(self.backbone)
        # A buffer, to be on the labels' device; of its final size, which averaged copies need; and
        # not in checkpoints, because it follows from the data set.
        groups = torch.zeros(self.head.num_classes, dtype=torch.int64)
        self.register_buffer("class_groups", groups, persistent=False)
        self._are_grouped = False
        if grouping != "frequency":
            self._group_classes()

    def set_class_counts(self, counts: Sequence[int]) -> None:
        """Take the number of training samples of each class, for ``grouping='frequency'``."""
        self._group_classes(counts)

    def _group_classes(self, counts: Sequence[int] | None = None) -> None:
        classes = self.head.num_classes
        groups = group_of_classes(
            self.num_groups, self.grouping, num_classes=classes, class_counts=counts
        )
        self.class_groups.copy_(groups)
        self._are_grouped = True

    def split(self, data_samples: Sequence[BaseDataElement]) -> split_into:
        """Return the context in which these samples are normalized split by their classes."""
        if not self._are_grouped:
            self._group_classes()  # its error names what is missing
        labels = torch.cat([sample.gt_label for sample in data_samples])
        return split_into(self.class_groups[labels], self.num_groups)


@MODELS.register_module()
class SplitClassifier(TwoPathClassifier):
    """SBN alone (CBN paper, Table 2, "Baseline + SBN"): train the split path, test the compound.

    The paper does not say how a network without CBN is tested when the labels are unknown. Here the
    groups' components form the mixture; its prior stays uniform.
    """

    def loss(self, inputs: Tensor, data_samples: Sequence[BaseDataElement]) -> dict[str, Tensor]:
        """Return the head's losses on the split path."""
        with self.split(data_samples):
            return super().loss(inputs, data_samples)


@MODELS.register_module()
class CompoundSplitClassifier(TwoPathClassifier):
    """CBN with SBN but without dual-path learning (CBN paper, Table 2, "Baseline + CBN + SBN").

    The compound path is trained. The split path sees the batch first, without gradient, and moves
    each group's component towards its classes: the paper gives it no loss without the dual path.
    """

    def loss(self, inputs: Tensor, data_samples: Sequence[BaseDataElement]) -> dict[str, Tensor]:
        """Return the head's losses on the compound path."""
        with torch.no_grad(), self.split(data_samples):
            self.extract_feat(inputs)
        return super().loss(inputs, data_samples)


@MODELS.register_module()
class DualPathClassifier(TwoPathClassifier):
    r"""Dual-path learning of CBN and SBN (CBN paper, Algorithm 1, Eq. 19 and 20).

    Both paths see a weak and a strong view of every image, the two tensors that ``inputs`` holds in
    training. With logits :math:`o^c` of the compound and :math:`o^s` of the split path,

    .. math:: L = L_{cls}(o^c_{strong}, y) - S(o^c_{strong}, sg\, o^s_{weak})
              - S(o^s_{strong}, sg\, o^c_{weak}), \qquad S(a, b) = \frac{a^\top b}{\|a\| \|b\|},

    where :math:`L_{cls}` is the head's loss, in the paper Balanced Softmax. The weak passes run
    without a graph; they move the layers' statistics as the others do, four times a step.
    """

    def loss(
        self, inputs: Sequence[Tensor], data_samples: Sequence[BaseDataElement]
    ) -> dict[str, Tensor]:
        """Return both losses and, for the log, the compound path's accuracy on strong views.

        Raises:
            ValueError: not two views of each image.
        """
        if isinstance(inputs, Tensor) or len(inputs) != 2:
            got = "one" if isinstance(inputs, Tensor) else len(inputs)
            raise ValueError(
                f"DualPathClassifier trains on a weak and a strong view of each image, got {got}: "
                "make them with dict(type='MultiView', views=[weak, strong]) in the pipeline"
            )
        weak, strong = inputs
        split = self.split(data_samples)
        with torch.no_grad():
            compound_weak = self._logits(weak)
            with split:
                split_weak = self._logits(weak)
        compound_strong = self._logits(strong)
        with split:
            split_strong = self._logits(strong)
        losses = self.head.loss_from_logits(compound_strong, data_samples)
        similarity = similarity_loss(compound_strong, split_weak)
        similarity = similarity + similarity_loss(split_strong, compound_weak)
        return {"loss_cls": losses.pop("loss"), "loss_similarity": similarity, **losses}

    def _logits(self, images: Tensor) -> Tensor:
        return self.head(self.extract_feat(images))


def similarity_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return minus the mean cosine of logits (N, C) and target logits (N, C) (Eq. 19)."""
    return -F.cosine_similarity(logits.float(), target.detach().float(), dim=1).mean()
