"""Folding trained norms into plain layers for export and for networks without this package."""

from copy import deepcopy
from typing import Any

from torch import nn

BATCH_NORM_ARGUMENTS = ("eps", "momentum", "requires_grad", "track_running_stats")


def fold_norms(model: nn.Module) -> nn.Module:
    """Return a copy of a network in which every foldable layer is a plain one with equal outputs.

    NBN becomes ``nn.BatchNorm2d`` (equal in training and evaluation), a rectified linear layer
    becomes ``nn.Linear`` (equal in evaluation). The copy's state dict loads into the network that
    :func:`plain_config` describes.
    """
    model = deepcopy(model)
    if hasattr(model, "folded"):
        return model.folded()
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if hasattr(child, "folded"):
                parent._modules[name] = child.folded()
    return model


def plain_config(cfg: Any) -> Any:
    """Return a model config without this package's layers: what a folded network loads into.

    Raises:
        ValueError: the config's backbone does not become plain when it is folded.
    """
    if isinstance(cfg, (list, tuple)):
        return type(cfg)(plain_config(item) for item in cfg)
    if not isinstance(cfg, dict):
        return cfg
    match cfg.get("type"):
        case "LTNormBackbone" if cfg["norm_cfg"]["type"] != "NBN":
            raise ValueError(f"{cfg['norm_cfg']['type']} does not fold into batch norm, NBN does")
        case "WeightNormBackbone":
            raise ValueError("weight norm does not fold into plain convolutions here")
        case "LTNormBackbone":
            return plain_config(cfg["backbone"])
        case "NBN":
            kept = {name: cfg[name] for name in BATCH_NORM_ARGUMENTS if name in cfg}
            return dict(type="BN", **kept)
        case "RectifiedLinear":
            return dict(type="Linear")
        case "LTSeesawLoss":  # mmdet's has the same buffer and scores
            kept = {name: cfg[name] for name in cfg if name not in ("type", "sync_counts")}
            return dict(type="SeesawLoss", **kept)
    return type(cfg)({name: plain_config(value) for name, value in cfg.items()})
