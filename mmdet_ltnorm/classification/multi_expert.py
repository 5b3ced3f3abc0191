"""RIDE's networks: experts share the early stages; each has two last stages and a classifier."""

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule, ModuleList, Sequential
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmdet_ltnorm.classification.head import ClsHead
from mmdet_ltnorm.norms import NormalizedAffine

OWN_STAGES = 2


@MODELS.register_module()
class MultiExpertBackbone(BaseModule):
    """Several copies of a backbone that share the stem and all stages but the last two.

    After Wang et al., "Long-tailed Recognition by Routing Diverse Distribution-Aware Experts". The
    copies are built from one config, ``LTNormBackbone`` around it included: each expert's norms are
    placed, and share a magnitude, as in a network of its own. ``shared`` is the first copy without
    the stages that are an expert's; ``experts`` hold these under the host's names (``layer4``).

    Shape: (N, 3, H, W) to a tuple of one output (N, K D, h, w), the experts' channels one after the
    other. ``feat_dim``, where the host knows it, is D, the channels of one expert.

    Raises:
        ValueError: a backbone without stages ``layer1``, ``layer2``, ..., with ``norm_eval``, or
            with norms that share a magnitude across shared and own stages.
    """

    def __init__(self, backbone: dict[str, Any], num_experts: int) -> None:
        super().__init__()
        hosts = [MODELS.build(backbone) for _ in range(num_experts)]
        own = _own_stages(hosts[0])
        experts = [
            Sequential(
                OrderedDict((name, getattr(host, name)) for name in own), init_cfg=host.init_cfg
            )
            for host in hosts
        ]
        self.shared = hosts[0]
        for name in own:  # so that the host's own forward ends where the experts begin
            setattr(self.shared, name, nn.Identity())
        self.experts = ModuleList(experts)
        if hasattr(self.shared, "feat_dim"):
            self.feat_dim = self.shared.feat_dim
        for expert in self.experts:
            _check_magnitudes(expert, own)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return the experts' last outputs, concatenated along the channels."""
        shared = self.shared(images)[-1]
        return (torch.cat([expert(shared) for expert in self.experts], 1),)


def _own_stages(host: nn.Module) -> list[str]:
    stages = [name for name, _ in host.named_children() if re.fullmatch(r"layer\d+", name)]
    if len(stages) <= OWN_STAGES:
        raise ValueError(
            f"experts own the last {OWN_STAGES} stages and share the others: expected a backbone "
            f"with children layer1, layer2, layer3, ..., got {type(host).__name__} with {stages}"
        )
    if getattr(host, "norm_eval", False):
        raise ValueError(
            "norm_eval=True would fix the norms of the shared stages and not the experts': set "
            "norm_eval=False in the backbone"
        )
    return stages[-OWN_STAGES:]


def _check_magnitudes(expert: nn.Module, own: Sequence[str]) -> None:
    layers = [layer for layer in expert.modules() if isinstance(layer, NormalizedAffine)]
    if {id(peer) for layer in layers for peer in layer.sharing} - {id(layer) for layer in layers}:
        raise ValueError(
            "NBN layers of an expert share their magnitude with layers of the shared stages: "
            f"choose positions in {', '.join(own)}, or share='block' or 'none'"
        )


class ExpertPredictors(nn.ModuleList):
    """A predictor for each expert.

    Shape: features (N, K D) of K experts to logits (N, K, C).
    """

    def __init__(self, num_experts: int, predictor: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(MODELS.build({**predictor, **kwargs}) for _ in range(num_experts))

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits of all experts."""
        parts = self.of_experts(features)
        return torch.stack([expert(x) for expert, x in zip(self, parts, strict=True)], 1)

    def of_experts(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return the experts' parts of the features, (N, D) each.

        Raises:
            ValueError: they are not those of as many experts.
        """
        width = self[0].in_features
        if features.shape[1] != len(self) * width:
            raise ValueError(
                f"features have {features.shape[1]} channels, expected {width} of each of "
                f"{len(self)} experts: the head's num_experts must be the backbone's"
            )
        return features.split(width, 1)

    def reset_parameters(self) -> None:
        """Initialize each predictor."""
        for predictor in self:
            predictor.reset_parameters()


@MODELS.register_module()
class MultiExpertHead(ClsHead):
    """Logits of several experts, their mean for predictions, and a loss of all of them.

    Args:
        num_experts: K, the backbone's number of experts.
        predictor: config of the layer of logits; each expert gets its own.
        loss: config of a loss called as ``loss(logits, labels)`` with logits (N, K, C), such as
            ``RIDELoss``.
    """

    def __init__(
        self,
        num_experts: int,
        num_classes: int,
        in_channels: int,
        predictor: dict[str, Any],
        loss: dict[str, Any],
    ) -> None:
        predictors = dict(type=ExpertPredictors, num_experts=num_experts, predictor=predictor)
        super().__init__(num_classes, in_channels, predictors, loss)

    def forward(self, features: Tensor) -> Tensor:
        """Turn features (N, K D) into the mean of the experts' logits (N, C)."""
        return self.predictor(features).mean(1)

    def loss(self, features: Tensor, data_samples: Sequence[BaseDataElement]) -> dict[str, Tensor]:
        """Return the loss and, for the log, the batch's accuracy in percent."""
        logits = self.predictor(features)
        labels = torch.cat([sample.gt_label for sample in data_samples])
        accuracy = 100 * (logits.mean(1).argmax(1) == labels).float().mean()
        return {"loss": self.loss_cls(logits, labels), "accuracy": accuracy}
