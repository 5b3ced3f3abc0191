"""Folding trained norms into plain layers for export and for networks without this package."""

from copy import deepcopy

from torch import nn


def fold_norms(model: nn.Module) -> nn.Module:
    """Return a copy of a network in which every foldable layer is a plain one with equal outputs.

    NBN becomes ``nn.BatchNorm2d`` (equal in training and evaluation), a rectified linear layer
    becomes ``nn.Linear`` (equal in evaluation). The copy's state dict loads into the same network
    built without this package.
    """
    model = deepcopy(model)
    if hasattr(model, "folded"):
        return model.folded()
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if hasattr(child, "folded"):
                setattr(parent, name, child.folded())
    return model
