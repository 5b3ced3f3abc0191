"""Contrastive learning beside classification, on further views of each image."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmdet_ltnorm.classification.classifier import ImageClassifier
from mmdet_ltnorm.norms.backends.synchronize import sum_over_ranks


@MODELS.register_module()
class ContrastiveClassifier(ImageClassifier):
    """A classifier that also learns from a contrastive loss on further views of each image.

    The two branches of Zhu et al., "Balanced Contrastive Learning for Long-Tailed Visual
    Recognition". A training batch is a list of views, which ``MultiView`` makes: the head learns
    from the first, the contrastive head from the others, after one pass of the backbone over all of
    them, whose norms see one batch. Tests take plain images and use the head only.

    Args:
        contrastive_head: config of a module that is built with ``in_channels``, D. Its
            ``loss(features, labels, class_weights)`` returns a dict of losses from features
            (V, N, D) of N images in V views, labels (N,) and the weights (C, D) of the head's
            predictor.

    Raises:
        ValueError: training images do not come in two or more views.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        head: dict[str, Any],
        contrastive_head: dict[str, Any],
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(backbone, head, data_preprocessor, init_cfg)
        in_channels = self.head.predictor.in_features
        self.contrastive_head = MODELS.build({**contrastive_head, "in_channels": in_channels})

    def loss(
        self, inputs: Sequence[Tensor], data_samples: Sequence[BaseDataElement]
    ) -> dict[str, Tensor]:
        """Return the losses of both heads."""
        if isinstance(inputs, Tensor) or len(inputs) < 2:
            raise ValueError(
                "ContrastiveClassifier trains on two or more views of each image, got one: put "
                "MultiView into the training pipeline"
            )
        features = self.extract_feat(torch.cat(list(inputs))).unflatten(0, (len(inputs), -1))
        losses = self.head.loss(features[0], data_samples)
        losses["loss_cls"] = losses.pop("loss")  # in the log, "loss" is the sum
        labels = torch.cat([sample.gt_label for sample in data_samples])
        class_weights = self.head.predictor.weight
        return losses | self.contrastive_head.loss(features[1:], labels, class_weights)


@MODELS.register_module()
class PrototypeContrastiveHead(BaseModule):
    """Projections of features, and of the classifier's weights as the prototypes of the classes.

    Features and prototypes have an MLP each (Linear, batch norm, ReLU, Linear); the prototypes' MLP
    sees all C classes as one batch. The gradient of the prototypes reaches the classifier.

    In a distributed run the loss is that of all ranks' samples, with gradient to each: N ranks
    equal one big batch, except for the statistics of batch norms. So it is in the authors' code,
    whose loss sees the joined batch of all GPUs. Ranks need batches of one size, as mmengine's
    samplers make them. (That code also projects the classifier's view, which changes the statistics
    of the batch norm and nothing else.)

    Args:
        loss: config of a loss called as ``loss(features, labels, prototypes)``, features
            (V, N, out_channels), labels (N,), prototypes (C, out_channels).
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        loss: dict[str, Any],
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.feature_projection = _mlp(in_channels, hidden_channels, out_channels)
        self.prototype_projection = _mlp(in_channels, hidden_channels, out_channels)
        self.loss_contrastive = MODELS.build(loss)

    def loss(self, features: Tensor, labels: Tensor, class_weights: Tensor) -> dict[str, Tensor]:
        """Return the loss of the projected features of all ranks."""
        projected = self.feature_projection(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        prototypes = self.prototype_projection(class_weights)
        loss = self.loss_contrastive(over_ranks(projected, 1), over_ranks(labels, 0), prototypes)
        return {"loss_contrastive": loss}


def over_ranks(tensor: Tensor, dim: int) -> Tensor:
    """Return all ranks' tensors in one; the gradient of each part goes back to its rank."""
    slots = [torch.zeros_like(tensor) for _ in range(get_world_size())]
    slots[get_rank()] = tensor
    return sum_over_ranks(torch.cat(slots, dim))


def _mlp(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels),
        nn.BatchNorm1d(hidden_channels),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_channels, out_channels),
    )
