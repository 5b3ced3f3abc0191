"""Folding trained norms into plain layers for export and for networks without this package."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from mmengine.registry import MODELS
from torch import nn


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
    if folds := _fold_of(cfg):
        return folds(cfg)
    match cfg.get("type"):
        case "LTNormBackbone":
            norm_cfg = cfg.get("norm_cfg")
            if norm_cfg and not _fold_of(norm_cfg):
                raise ValueError(f"{norm_cfg['type']} does not fold into batch norm, NBN does")
            return plain_config(cfg["backbone"])
        case "WeightNormBackbone":
            raise ValueError("weight norm does not fold into plain convolutions here")
        case "LTSeesawLoss":  # mmdet's has the same buffer and scores
            kept = {name: cfg[name] for name in cfg if name not in ("type", "sync_counts")}
            return dict(type="SeesawLoss", **kept)
    return type(cfg)({name: plain_config(value) for name, value in cfg.items()})


def _fold_of(cfg: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
    """Return the function of a foldable layer's class that gives the plain layer's config."""
    kind = cfg.get("type")
    return getattr(MODELS.module_dict.get(kind, kind), "folded_cfg", None)
