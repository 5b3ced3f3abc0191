"""The arithmetic of :mod:`mmdet_ltnorm.norms.tables` in C++, for float32 on a CPU.

In torch it is a hundred operations a training step, which take longer than the numbers do.
"""

import torch
from torch import Tensor

from mmdet_ltnorm.norms.native import call
from mmdet_ltnorm.norms.tables import (
    SMALLEST_PRIOR,
    Affine,
    Components,
    Moments,
    Rule,
    affine_gradient,
    affine_of_stored,
    unpacked,
)

__all__ = [
    "affine_gradient",
    "affine_of_batch",
    "affine_of_stored",
    "log_joint",
    "move",
    "sums_gradient",
]


def log_joint(
    stored: Components, centre: Tensor, rule: Rule, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`mmdet_ltnorm.norms.tables.log_joint`."""
    const = stored.mean.new_empty(len(stored.mean), 1)
    linear, square = torch.empty_like(stored.mean), torch.empty_like(stored.mean)
    options = rule.eps, rule.temperature, SMALLEST_PRIOR
    call("log_joint", *stored, centre, *options, const, linear, square, *linear.shape)
    return const, linear, square


def affine_of_batch(
    weight: Tensor,
    bias: Tensor,
    sums: Tensor,
    stored: Components,
    centre: Tensor,
    rule: Rule,
    split: bool,
    dtype: torch.dtype,
) -> tuple[Affine, Moments]:
    """See :func:`mmdet_ltnorm.norms.tables.affine_of_batch`."""
    components = len(weight)
    tables, numbers = weight.new_empty(7, *weight.shape), weight.new_empty(2 * components + 1)
    flags = weight.new_empty(components + 1, dtype=torch.bool)
    inputs = sums, stored.mean, stored.var, centre, weight, bias
    options = rule.eps, rule.shrinkage, rule.kept, split
    call("affine_of_batch", *inputs, *options, tables, numbers, flags, *weight.shape)
    return unpacked(tables, numbers, flags)


def sums_gradient(
    to_weight: Tensor, to_bias: Tensor, used: Affine, moments: Moments, rule: Rule
) -> Tensor:
    """See :func:`mmdet_ltnorm.norms.tables.sums_gradient`."""
    components, channels = to_weight.shape
    output = to_weight.new_empty(components, 1 + 2 * channels)
    tables = to_weight, to_bias, used.scale, used.inverse, moments.offset, moments.var
    options = moments.count, moments.seen, rule.shrinkage, rule.kept
    call("sums_gradient", *tables, *options, output, *to_weight.shape)
    return output


def move(
    running: Components,
    batch: Moments,
    not_finite: Tensor,
    rate: float,
    unbiased: bool,
    split: bool,
) -> None:
    """See :func:`mmdet_ltnorm.norms.tables.move`."""
    numbers = batch.mean, batch.var, batch.count, batch.share, batch.total
    outputs = *running, not_finite
    flags = batch.seen, batch.enough
    options = rate, unbiased, split
    call("move", *outputs, *numbers, *flags, *options, *running.mean.shape)
