"""The magnitude g that NBN layers share, and its start from their raw vectors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mmdet_ltnorm.norms.functional import DIRECTION_FLOOR, widened

if TYPE_CHECKING:
    from mmdet_ltnorm.norms.affine import NormalizedAffine


def share_magnitude(layers: Sequence["NormalizedAffine"]) -> None:
    """Make fresh layers share one magnitude, owned by the last of them.

    The last layer of a network is the last to be frozen with its stage, so the shared magnitude
    trains as long as any of them does. Checkpoints are loaded afterwards.

    Raises:
        ValueError: no layers, or layers with different options.
    """
    if not layers:
        raise ValueError("share_magnitude needs at least one NBN layer, got none")
    options = ("normalize", "learn_magnitude", "separate_magnitudes", "official", "pretrained")
    first = [getattr(layers[0], name) for name in options]
    for layer in layers:
        if [getattr(layer, name) for name in options] != first:
            raise ValueError(
                f"layers that share a magnitude need equal options: {layers[0]} and {layer}"
            )
    for layer in layers[:-1]:
        for name in layer._magnitude_names():
            delattr(layer, name)
    for layer in layers:
        layer.sharing = tuple(layers)
    calibrate(layers, "mean")


@torch.no_grad()
def calibrate(layers: Sequence["NormalizedAffine"], mode: str) -> None:
    """Set g and the gains of sharing layers from their raw vectors; see NBN's ``pretrained``."""
    owner = layers[-1]
    if owner.official or not owner.normalize:
        mode = "one"
    magnitudes = {}
    for vector in ("weight", "bias"):
        raw = [widened(stored(layer, vector)) for layer in layers]
        norms = [torch.linalg.vector_norm(v, dim=-1).clamp_min(DIRECTION_FLOOR) for v in raw]
        if vector == "weight" or owner.separate_magnitudes:
            magnitude = torch.stack(norms).mean() if mode != "one" else norms[0].new_ones(())
            magnitudes["magnitude" if vector == "weight" else "bias_magnitude"] = magnitude
        for layer, norm in zip(layers, norms, strict=True):
            gain = norm / magnitude if mode == "preserve" else torch.ones_like(norm)
            getattr(layer, f"{vector}_gain").copy_(gain)
    for name, value in magnitudes.items():
        stored(owner, name).copy_(value)


def stored(module: nn.Module, name: str) -> Tensor:
    """Return the tensor that the state dict holds under ``name``, past a property of that name."""
    if name in module._parameters:
        return module._parameters[name]
    if name in module._buffers:
        return module._buffers[name]
    raise AttributeError(f"{type(module).__name__} stores no tensor {name!r}")
