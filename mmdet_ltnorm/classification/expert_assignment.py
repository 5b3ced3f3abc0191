"""RIDE's expert assignment: a gate decides which images need another expert."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F

from mmdet_ltnorm.classification.multi_expert import MultiExpertHead
from mmdet_ltnorm.classification.two_stage import SecondStageClassifier

HIDDEN_CHANNELS = 16
POSITIVE_WEIGHT = 100.0  # the weight of samples that need another expert, which are few


class ExpertGate(nn.Module):
    """Decide from an expert's features and the logits so far whether to run the next expert.

    Each expert but the last has a layer from its features, scaled to unit length, to 16 channels.
    All experts share the layer from these and the ``top_k`` largest logits to the answer.

    Shape: features (N, D) and logits (N, C) to (N,); above 0 the next expert is asked.
    """

    def __init__(self, num_experts: int, in_channels: int, top_k: int) -> None:
        super().__init__()
        self.top_k = top_k
        self.hidden = nn.ModuleList(
            nn.Linear(in_channels, HIDDEN_CHANNELS) for _ in range(num_experts - 1)
        )
        self.answer = nn.Linear(top_k + HIDDEN_CHANNELS, 1)

    def forward(self, expert: int, features: Tensor, logits: Tensor) -> Tensor:
        """Return the gate's logit after expert number ``expert``, counted from 0."""
        hidden = F.relu(self.hidden[expert](F.normalize(features)))
        largest = logits.topk(self.top_k, 1).values
        return self.answer(torch.cat([largest, hidden], 1))[:, 0]


@MODELS.register_module()
class ExpertAssignmentHead(MultiExpertHead):
    r"""A multi-expert head that trains only its gate (RIDE, stage two).

    After k experts, whose logits' mean so far is :math:`\bar z_k`, the gate should ask for the next
    where :math:`\arg\max \bar z_k` is wrong and a later mean is right; its loss is binary cross
    entropy.

    Args:
        top_k: how many of the largest logits the gate sees.

    Raises:
        ValueError: a single expert, or more logits for the gate than classes.
    """

    def __init__(self, *args: Any, top_k: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        num_experts = len(self.predictor)
        if num_experts < 2 or not 0 < top_k <= self.num_classes:
            raise ValueError(
                f"expected num_experts >= 2 and top_k from 1 to num_classes={self.num_classes}, "
                f"got num_experts={num_experts} and top_k={top_k}"
            )
        self.gate = ExpertGate(num_experts, self.predictor[0].in_features, top_k)

    def loss(self, features: Tensor, data_samples: Sequence[BaseDataElement]) -> dict[str, Tensor]:
        """Return the gate's loss and, for the log, the accuracy of all experts together."""
        logits = self.predictor(features)
        labels = torch.cat([sample.gt_label for sample in data_samples])
        counted = torch.arange(1, logits.shape[1] + 1, device=logits.device)
        so_far = logits.cumsum(1) / counted[:, None]
        right = so_far.argmax(2) == labels[:, None]
        weight = logits.new_full((), POSITIVE_WEIGHT)
        losses = []
        for expert, part in enumerate(self.predictor.of_experts(features)[:-1]):
            answer = self.gate(expert, part, so_far[:, expert])
            helps = ~right[:, expert] & right[:, expert + 1 :].any(1)
            losses.append(
                F.binary_cross_entropy_with_logits(answer, helps.to(answer), pos_weight=weight)
            )
        return {"loss": sum(losses) / len(losses), "accuracy": 100 * right[:, -1].float().mean()}


@MODELS.register_module()
class ExpertAssignmentClassifier(SecondStageClassifier):
    """A multi-expert classifier that runs an expert only on images that its gate sends there.

    In training all experts run, and the head's gate learns. Predictions are the mean of the logits
    of the experts that ran. A sample's ``num_experts`` is their number, which ``ExpertsUsed``
    averages.
    """

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[BaseDataElement] | None = None,
        mode: str = "tensor",
    ) -> Any:
        """Return logits (N, C), a dict of losses, or the samples with their predictions."""
        if mode not in ("tensor", "predict"):
            return super().forward(inputs, data_samples, mode)
        logits, used = self.assign(inputs)
        if mode == "tensor":
            return logits
        samples = self.head.predict_from_logits(logits, data_samples)
        for sample, number in zip(samples, used, strict=True):
            sample.num_experts = number[None]
        return samples

    def assign(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean logits (N, C) of the experts that each image needs, and their number."""
        shared = self.backbone.shared(images)[-1]
        asking = torch.arange(len(images), device=images.device)
        used = torch.zeros_like(asking)
        total = self.head.gate.answer.weight.new_zeros(len(images), self.head.num_classes)
        last = len(self.backbone.experts) - 1
        for number, expert in enumerate(self.backbone.experts):
            features = F.adaptive_avg_pool2d(expert(shared[asking]), 1).flatten(1)
            total[asking] += self.head.predictor[number](features)
            used[asking] += 1
            if number < last:
                answer = self.head.gate(number, features, total[asking] / (number + 1))
                asking = asking[answer > 0]
            if not len(asking):
                break
        return total / used[:, None], used
