"""The magnitude g that NBN layers share: where it starts, and what a checkpoint makes of it."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mmdet_ltnorm.norms.functional import DIRECTION_FLOOR, widened

if TYPE_CHECKING:
    from mmdet_ltnorm.norms.affine import NormalizedAffine

SQRT_CHANNELS = "sqrt_channels"
# In which layers that share a magnitude must agree.
OPTIONS = (
    *("normalize", "learn_magnitude", "separate_magnitudes", "official", "pretrained"),
    *("initial_magnitude", "initial_bias_magnitude"),
)


def check_start(name: str, value: float | str, least: str) -> None:
    """Check where a magnitude shall start.

    Args:
        name: of the argument that says it.
        least: ``'above 0'`` or ``'from 0 on'``.

    Raises:
        ValueError: it is neither a finite number in that range nor ``'sqrt_channels'``.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    in_range = is_number and math.isfinite(value) and value >= 0
    if value != SQRT_CHANNELS and (not in_range or (value == 0 and least == "above 0")):
        raise ValueError(f"{name} must be a number {least} or {SQRT_CHANNELS!r}, got {value!r}")


def share_magnitude(layers: Sequence["NormalizedAffine"]) -> None:
    """Make fresh layers share one magnitude, owned by the last of them.

    The last layer of a network is the last to be frozen with its stage, so the shared magnitude
    trains as long as any of them does. Checkpoints are loaded afterwards.

    Raises:
        ValueError: no layers, or layers with different options.
    """
    if not layers:
        raise ValueError("share_magnitude needs at least one NBN layer, got none")
    first = [getattr(layers[0], name) for name in OPTIONS]
    for layer in layers:
        if [getattr(layer, name) for name in OPTIONS] != first:
            raise ValueError(
                f"layers that share a magnitude need equal options: {layers[0]} and {layer}"
            )
    for layer in layers[:-1]:
        for name in layer._magnitude_names():
            delattr(layer, name)
    for layer in layers:
        layer.sharing = tuple(layers)
    start(layers)


@torch.no_grad()
def start(layers: Sequence["NormalizedAffine"]) -> None:
    """Set g of fresh sharing layers as they ask; see NBN's ``initial_magnitude``."""
    owner = layers[-1]
    for vector, name in zip(("weight", "bias"), owner._magnitude_names(), strict=False):
        value = getattr(owner, f"initial_{name}")
        if value == SQRT_CHANNELS:
            widths = [stored(layer, "weight").shape[-1] for layer in layers]
            value = sum(map(math.sqrt, widths)) / len(layers)
        elif value is None:
            value = torch.stack([_lengths(layer, vector) for layer in layers]).mean()
        stored(owner, name).fill_(value)
    for layer in layers:
        layer.weight_gain.fill_(1)
        layer.bias_gain.fill_(1)


@torch.no_grad()
def calibrate(layers: Sequence["NormalizedAffine"], mode: str) -> None:
    """Set g and the gains of sharing layers from a plain layer's; see NBN's ``pretrained``."""
    owner = layers[-1]
    if owner.official or not owner.normalize:
        mode = "one"
    magnitudes = {}
    for vector in ("weight", "bias"):
        norms = [_lengths(layer, vector) for layer in layers]
        if vector == "weight" or owner.separate_magnitudes:
            magnitude = torch.stack(norms).mean() if mode != "one" else norms[0].new_ones(())
            magnitudes["magnitude" if vector == "weight" else "bias_magnitude"] = magnitude
        for layer, norm in zip(layers, norms, strict=True):
            gain = norm / magnitude if mode == "preserve" else torch.ones_like(norm)
            getattr(layer, f"{vector}_gain").copy_(gain)
    for name, value in magnitudes.items():
        stored(owner, name).copy_(value)


def _lengths(layer: "NormalizedAffine", vector: str) -> Tensor:
    raw = widened(stored(layer, vector))
    return torch.linalg.vector_norm(raw, dim=-1).clamp_min(DIRECTION_FLOOR)


def stored(module: nn.Module, name: str) -> Tensor:
    """Return the tensor that the state dict holds under ``name``, past a property of that name."""
    if name in module._parameters:
        return module._parameters[name]
    if name in module._buffers:
        return module._buffers[name]
    raise AttributeError(f"{type(module).__name__} stores no tensor {name!r}")
