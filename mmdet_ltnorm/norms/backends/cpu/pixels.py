"""Passes over the pixels of a feature map in C++; they have no more than 8 components.

They read and write a feature map as often as batch norm does.
"""

import torch
from torch import Tensor

from mmdet_ltnorm.norms.backends.cpu.native import call_over, threads
from mmdet_ltnorm.norms.backends.feature_map import one_hot
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
    components, rows = len(const), threads(x)
    if groups is None:
        weights = x.new_empty(len(x), components, x[0, 0].numel())
    else:
        weights, const = one_hot(x, groups, components, x.dtype), None
    zeroth = sums = None
    if summed:
        zeroth = x.new_zeros(rows, components, dtype=torch.float64)
        sums = x.new_zeros(rows, len(centre), 2, components, dtype=torch.float64)
    coefficients = (const, *_transposed(linear, square), centre)
    outputs = weights, zeroth, sums
    call_over(x, "expectation", *coefficients, SMALLEST_RESPONSIBILITY, *outputs, components)
    if not summed:
        return weights, None
    zeroth, (first, second) = zeroth.sum(0)[:, None], sums.sum(0).permute(1, 2, 0)
    return weights, torch.cat([zeroth, first, second], dim=1)


def mixed_affine(
    x: Tensor, centre: Tensor, weights: Tensor, scale: Tensor, shift: Tensor
) -> Tensor:
    """See :meth:`.PixelPasses.mixed_affine`."""
    y = torch.empty_like(x)
    coefficients = (None, *_transposed(shift, scale))
    call_over(x, "mix", centre, None, weights, *coefficients, y, len(scale))
    return y


def gradient_sums(
    x: Tensor, centre: Tensor, gradient: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """See :meth:`.PixelPasses.gradient_sums`."""
    components = weights.shape[1]
    sums = x.new_zeros(threads(x), x.shape[1], 2, components, dtype=torch.float64)
    call_over(x, "gradient_sums", centre, gradient, weights, sums, components)
    plain, weighted = sums.sum(0).permute(1, 2, 0).to(x.dtype).contiguous()
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
    coefficients = _transposed(scale, first, 2 * second)
    call_over(x, "mix", centre, gradient, weights, *coefficients, to_x, len(scale))
    return to_x


def _transposed(*coefficients: Tensor) -> tuple[Tensor, ...]:
    """Return coefficients (M, C) as the kernels read them, (C, M)."""
    return tuple(each.t().contiguous() for each in coefficients)
