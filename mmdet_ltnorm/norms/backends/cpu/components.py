"""Arithmetic on M components in C++.

In torch it takes a hundred operations a training step, whose calls take longer than the arithmetic.
"""

import torch
from torch import Tensor

from mmdet_ltnorm.norms.backends.cpu.native import call
from mmdet_ltnorm.norms.backends.interface import (
    SMALLEST_PRIOR,
    Affine,
    BatchMoments,
    Components,
    Joint,
    Rule,
)
from mmdet_ltnorm.norms.backends.packed import unpacked
from mmdet_ltnorm.norms.backends.plain.components import affine_gradient, affine_of_stored

__all__ = [
    "affine_gradient",
    "affine_of_batch",
    "affine_of_stored",
    "log_joint",
    "move",
    "sums_gradient",
]


def log_joint(stored: Components, centre: Tensor, rule: Rule, dtype: torch.dtype) -> Joint:
    """See :meth:`.ComponentArithmetic.log_joint`."""
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
) -> tuple[Affine, BatchMoments]:
    """See :meth:`.ComponentArithmetic.affine_of_batch`."""
    components = len(weight)
    matrices, numbers = weight.new_empty(7, *weight.shape), weight.new_empty(2 * components + 1)
    flags = weight.new_empty(components + 1, dtype=torch.bool)
    inputs = sums, stored.mean, stored.var, centre, weight, bias
    options = rule.eps, rule.shrinkage, rule.kept, split
    call("affine_of_batch", *inputs, *options, matrices, numbers, flags, *weight.shape)
    return unpacked(matrices, numbers, flags)


def sums_gradient(
    to_weight: Tensor, to_bias: Tensor, used: Affine, moments: BatchMoments, rule: Rule
) -> Tensor:
    """See :meth:`.ComponentArithmetic.sums_gradient`."""
    components, channels = to_weight.shape
    output = to_weight.new_empty(components, 1 + 2 * channels)
    matrices = to_weight, to_bias, used.scale, used.inverse, moments.offset, moments.var
    options = moments.count, moments.seen, rule.shrinkage, rule.kept
    call("sums_gradient", *matrices, *options, output, *to_weight.shape)
    return output


def move(
    running: Components,
    batch: BatchMoments,
    not_finite: Tensor,
    rate: float,
    unbiased: bool,
    split: bool,
) -> None:
    """See :meth:`.ComponentArithmetic.move`."""
    numbers = batch.mean, batch.var, batch.count, batch.share, batch.total
    outputs = *running, not_finite
    flags = batch.seen, batch.enough
    options = rate, unbiased, split
    call("move", *outputs, *numbers, *flags, *options, *running.mean.shape)
