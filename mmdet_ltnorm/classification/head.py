"""The classification head: a predictor of logits and a loss, both from configs."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor


@MODELS.register_module()
class ClsHead(BaseModule):
    """Logits from pooled features, their loss, and predictions.

    Args:
        num_classes: C; the training set's number of classes, which ``ClassCountsHook`` checks.
        in_channels: D, channels of the features.
        predictor: config of a layer built like ``nn.Linear(D, C)``: ``'Linear'``, mmdet's
            ``'NormedLinear'`` (cosine), ``'RectifiedLinear'``, ...
        loss: config of a loss called as ``loss(logits, labels)``, mmdet's or ours. One that needs
            ``num_classes``, or a loss inside it that does, gets the head's unless it has its own.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        predictor: dict[str, Any] | None = None,
        loss: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        predictor = predictor or dict(type="Linear")
        self.predictor = MODELS.build(
            {**predictor, "in_features": in_channels, "out_features": num_classes}
        )
        loss = loss or dict(type="CrossEntropyLoss")
        self.loss_cls = MODELS.build(_with_num_classes(loss, num_classes))

    def init_weights(self) -> None:
        """Initialize the predictor as ``nn.Linear``.

        mmdet's ``NormedLinear`` starts with weights of length 0.01 D^(1/2), made for its box heads.
        The steps of a weight's direction are proportional to the inverse square of its length, and
        with so short ones LDAM diverges at once.
        """
        super().init_weights()
        self.predictor.reset_parameters()

    def forward(self, features: Tensor) -> Tensor:
        """Turn features (N, D) into logits (N, C)."""
        return self.predictor(features)

    def loss(self, features: Tensor, data_samples: Sequence[BaseDataElement]) -> dict[str, Tensor]:
        """Return the loss and, for the log, the batch's accuracy in percent."""
        return self.loss_from_logits(self(features), data_samples)

    def loss_from_logits(
        self, logits: Tensor, data_samples: Sequence[BaseDataElement]
    ) -> dict[str, Tensor]:
        """Return loss and accuracy of logits (N, C)."""
        labels = torch.cat([sample.gt_label for sample in data_samples])
        accuracy = 100 * (logits.argmax(1) == labels).float().mean()
        return {"loss": self.loss_cls(logits, labels), "accuracy": accuracy}

    def predict(
        self, features: Tensor, data_samples: Sequence[BaseDataElement] | None = None
    ) -> Sequence[BaseDataElement]:
        """Return the samples with ``pred_score`` (C,), probabilities, and ``pred_label`` (1,)."""
        return self.predict_from_logits(self(features), data_samples)

    def predict_from_logits(
        self, logits: Tensor, data_samples: Sequence[BaseDataElement] | None = None
    ) -> Sequence[BaseDataElement]:
        """Return the samples with the predictions of logits (N, C)."""
        scores = self.probabilities(logits.float())
        samples = data_samples or [BaseDataElement() for _ in scores]
        for sample, score in zip(samples, scores, strict=True):
            sample.pred_score = score
            sample.pred_label = score.argmax(0, keepdim=True)
        return samples

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of logits (N, C): softmax, or the loss's own activation."""
        if getattr(self.loss_cls, "custom_activation", False):  # as in mmdet's box heads
            return self.loss_cls.get_activation(logits)
        return logits.softmax(1)


def _with_num_classes(loss: dict[str, Any], num_classes: int) -> dict[str, Any]:
    """Return a loss config with ``num_classes`` in every loss of it that needs it."""
    filled = {
        key: _with_num_classes(value, num_classes)
        if isinstance(value, dict) and "type" in value
        else value
        for key, value in loss.items()
    }
    with MODELS.switch_scope_and_registry(None) as registry:
        kind = registry.get(loss["type"]) if isinstance(loss["type"], str) else loss["type"]
    needed = inspect.signature(kind).parameters.get("num_classes") if kind else None
    if needed and needed.default is needed.empty:
        filled.setdefault("num_classes", num_classes)
    return filled
