"""Arithmetic on M components in C++.

In torch it takes a hundred operations a training step, whose calls take longer than the arithmetic.
"""

import torch
from torch import Tensor

from mmdet_ltnorm.norms.backends.cpu.native import call
from mmdet_ltnorm.norms.backends.interface import (
    SMALLEST_PRIOR,
    Components,
    Joint,
    Learning,
    MixtureTables,
    Rule,
)
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
) -> MixtureTables:
    """See :meth:`.ComponentArithmetic.affine_of_batch`."""
    components = len(weight)
    matrices, numbers = weight.new_empty(7, *weight.shape), weight.new_empty(2 * components + 1)
    flags = weight.new_empty(components + 1, dtype=torch.bool)
    inputs = sums, stored.mean, stored.var, centre, weight, bias
    options = rule.eps, rule.shrinkage, rule.kept, split
    call("affine_of_batch", *inputs, *options, matrices, numbers, flags, *weight.shape)
    return MixtureTables(matrices, numbers, flags)


def sums_gradient(
    to_weight: Tensor, to_bias: Tensor, tables: MixtureTables, rule: Rule
) -> tuple[Tensor, Tensor]:
    """See :meth:`.ComponentArithmetic.sums_gradient`."""
    components, channels = to_weight.shape
    output = to_weight.new_empty(components, 1 + 2 * channels)
    _, inverse, scale, _, _, offset, var = _addresses(tables.matrices, components * channels)
    inputs = to_weight, to_bias, scale, inverse, offset, var, tables.numbers, tables.flags
    call("sums_gradient", *inputs, rule.shrinkage, rule.kept, output, *to_weight.shape)
    return output[:, 1 : 1 + channels], output[:, 1 + channels :]


def move(stored: Components, tables: MixtureTables, learning: Learning, split: bool) -> None:
    """See :meth:`.ComponentArithmetic.move`."""
    components, channels = stored.mean.shape
    *_, mean, _, var = _addresses(tables.matrices, components * channels)
    count, share = _addresses(tables.numbers, components)[:2]
    total, enough = (
        _addresses(tables.numbers, 2 * components)[1],
        tables.flags.data_ptr() + components,
    )
    outputs, options = (*stored, learning.not_finite), (learning.rate, learning.unbiased, split)
    batch = mean, var, count, share, total, tables.flags, enough
    call("move", *outputs, *batch, *options, components, channels)


def _addresses(tensor: Tensor, numbers: int) -> range:
    """Return where each part of so many numbers of a contiguous tensor begins."""
    start, size = tensor.data_ptr(), tensor.element_size()
    return range(start, start + tensor.numel() * size, numbers * size)
