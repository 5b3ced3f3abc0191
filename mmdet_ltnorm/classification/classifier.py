"""An image classifier for mmengine's Runner: backbone, global average pooling, head."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn import functional as F


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """Classify images by the pooled last output of any mmdet backbone.

    Args:
        backbone: a backbone's config, ``LTNormBackbone`` around one included.
        head: a head's config. Where the backbone knows its ``feat_dim`` (mmdet's ResNets and
            RegNets, ours), the head's ``in_channels`` may be left out.
        data_preprocessor: by default ``ClsDataPreprocessor`` without normalization.

    Raises:
        ValueError: the head's ``in_channels`` is neither given nor known.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        head: dict[str, Any],
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor or dict(type="ClsDataPreprocessor"), init_cfg)
        self.backbone = MODELS.build(backbone)
        if "in_channels" not in head:
            if not hasattr(self.backbone, "feat_dim"):
                raise ValueError(
                    f"{type(self.backbone).__name__} does not tell its feat_dim: give the head "
                    "in_channels, the number of channels of the backbone's last output"
                )
            head = {**head, "in_channels": self.backbone.feat_dim}
        self.head = MODELS.build(head)

    def init_weights(self) -> None:
        """Initialize from the start of the run's seed.

        Building some norms and heads draws random numbers. Without this, two runs with one seed
        that differ in these would start from different convolutions.
        """
        torch.manual_seed(torch.initial_seed())
        super().init_weights()

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Turn images (N, C, H, W) into pooled features (N, D)."""
        return F.adaptive_avg_pool2d(self.backbone(inputs)[-1], 1).flatten(1)

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[BaseDataElement] | None = None,
        mode: str = "tensor",
    ) -> Any:
        """Return logits (N, C), a dict of losses, or the samples with their predictions.

        Raises:
            ValueError: an unknown mode.
        """
        if mode not in ("tensor", "loss", "predict"):
            raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")
        if mode == "loss":
            return self.loss(inputs, data_samples)
        features = self.extract_feat(inputs)
        return (
            self.head(features) if mode == "tensor" else self.head.predict(features, data_samples)
        )

    def loss(self, inputs: Tensor, data_samples: Sequence[BaseDataElement]) -> dict[str, Tensor]:
        """Return the losses of a training batch."""
        return self.head.loss(self.extract_feat(inputs), data_samples)
