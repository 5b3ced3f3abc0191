"""Passes over the pixels of a feature map in C++; they have no more than 8 components.

They read and write a feature map as often as batch norm does, in float32 or bfloat16, and compute
in float32.
"""

from typing import Any

import torch
from torch import Tensor

from mmdet_ltnorm.norms.backends.cpu.native import call_over, threads
from mmdet_ltnorm.norms.backends.feature_map import as_matrices, channels_are_last, one_hot
from mmdet_ltnorm.norms.backends.interface import SMALLEST_RESPONSIBILITY, Joint


def expectation(
    x: Tensor,
    joint: Joint,
    centre: Tensor,
    groups: Tensor | None,
    summed: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """See :meth:`.PixelPasses.expectation`."""
    const, linear, square = joint
    components, channels = linear.shape
    if groups is None:
        samples, _, pixels = as_matrices(x).shape
        weights = centre.new_empty(samples, components, pixels)
    else:
        weights, const = one_hot(x, groups, components, centre.dtype), None
    sums = _sums(x, components, 1 + 2 * channels) if summed else None
    inputs = const, *_coefficients(x, linear, square), centre, SMALLEST_RESPONSIBILITY
    _pass(x, "expectation", *inputs, weights, sums, components)
    return weights, None if sums is None else sums.sum(0)


def mixed_affine(
    x: Tensor, centre: Tensor, weights: Tensor, scale: Tensor, shift: Tensor
) -> Tensor:
    """See :meth:`.PixelPasses.mixed_affine`."""
    y = torch.empty_like(x)
    coefficients = None, *_coefficients(x, shift, scale)
    _pass(x, "mix", centre, None, weights, *coefficients, y, len(scale))
    return y


def gradient_sums(
    x: Tensor, centre: Tensor, gradient: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """See :meth:`.PixelPasses.gradient_sums`."""
    components = weights.shape[1]
    sums = _sums(x, 2, components, x.shape[1])
    _pass(x, "gradient_sums", centre, gradient, weights, sums, components)
    plain, weighted = sums.sum(0).to(weights.dtype)
    return plain, weighted


def input_gradient(
    x: Tensor,
    centre: Tensor,
    gradient: Tensor,
    weights: Tensor,
    scale: Tensor,
    first: Tensor,
    second: Tensor,
) -> Tensor:
    """See :meth:`.PixelPasses.input_gradient`."""
    to_x = torch.empty_like(x)
    coefficients = _coefficients(x, scale, first, 2 * second)
    _pass(x, "mix", centre, gradient, weights, *coefficients, to_x, len(scale))
    return to_x


def _pass(x: Tensor, name: str, *args: Any) -> None:
    """Call the function for the memory format of x; see :func:`.native.call_over`."""
    ending = "_last" if channels_are_last(x) else ""
    call_over(x, name + ending, *args, x.dtype == torch.bfloat16)


def _sums(x: Tensor, *shape: int) -> Tensor:
    """Return zeros for each thread's sums."""
    return x.new_zeros(threads(x), *shape, dtype=torch.float64)


def _coefficients(x: Tensor, *tables: Tensor) -> tuple[Tensor, ...]:
    """Return coefficients (M, C) as the functions read them, (C, M) where pixels are adjacent."""
    if channels_are_last(x):
        return tuple(table.contiguous() for table in tables)
    return tuple(table.t().contiguous() for table in tables)
