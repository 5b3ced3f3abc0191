"""The passes of :mod:`mmdet_ltnorm.norms.pixels` in C++, for float32 on a CPU.

They read and write a feature map as often as batch norm does.
"""

import torch
from torch import Tensor

from mmdet_ltnorm.norms import pixels
from mmdet_ltnorm.norms.native import call_over, threads
from mmdet_ltnorm.norms.pixels import SMALLEST_RESPONSIBILITY, logit_gradient, one_hot

__all__ = ["expectation", "gradient_sums", "input_gradient", "logit_gradient", "mixed_affine"]

# Compiled kernels, here and on a GPU, unroll up to so many.
MOST_COMPONENTS = 8


def expectation(
    x: Tensor,
    joint: tuple[Tensor, Tensor, Tensor],
    centre: Tensor,
    groups: Tensor | None,
    summed: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """See :func:`mmdet_ltnorm.norms.pixels.expectation`."""
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
    tables = (const, *_tables(linear, square), centre)
    outputs = weights, zeroth, sums
    call_over(x, "expectation", *tables, SMALLEST_RESPONSIBILITY, *outputs, components)
    if not summed:
        return weights, None
    zeroth, (first, second) = zeroth.sum(0)[:, None], sums.sum(0).permute(1, 2, 0)
    return weights, torch.cat([zeroth, first, second], dim=1)


def mixed_affine(
    x: Tensor, centre: Tensor, weights: Tensor, scale: Tensor, shift: Tensor
) -> Tensor:
    """See :func:`mmdet_ltnorm.norms.pixels.mixed_affine`."""
    y = torch.empty_like(x)
    tables = (None, *_tables(shift, scale))
    call_over(x, "mix", centre, None, weights, *tables, y, len(scale))
    return y


def gradient_sums(
    x: Tensor, centre: Tensor, gradient: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """See :func:`mmdet_ltnorm.norms.pixels.gradient_sums`."""
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
    """See :func:`mmdet_ltnorm.norms.pixels.input_gradient`."""
    if len(scale) > MOST_COMPONENTS:  # with those of the logits, twice as many
        return pixels.input_gradient(x, centre, gradient, weights, scale, first, second)
    to_x = torch.empty_like(x)
    tables = _tables(scale, first, 2 * second)
    call_over(x, "mix", centre, gradient, weights, *tables, to_x, len(scale))
    return to_x


def _tables(*coefficients: Tensor) -> tuple[Tensor, ...]:
    """Return coefficients (M, C) as the kernels read them, (C, M)."""
    return tuple(table.t().contiguous() for table in coefficients)
