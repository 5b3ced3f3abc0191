"""Arithmetic on M components as Triton kernels.

A GPU takes less time for the arithmetic than for the launch of a kernel, and a training step of the
plain code launches a hundred. Kernels that move statistics in place leave their version counters as
they are: no backward pass saves the statistics.
"""

import torch
import triton
from torch import Tensor

from mmdet_ltnorm.norms.backends.gpu import component_kernels as kernels
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

# Channels of a tile.
BLOCK = 256


def log_joint(stored: Components, centre: Tensor, rule: Rule, dtype: torch.dtype) -> Joint:
    """See :meth:`.ComponentArithmetic.log_joint`."""
    mean, var, prior = (each.contiguous() for each in stored)
    linear, square = mean.new_empty(2, *mean.shape, dtype=dtype)
    const = mean.new_empty(len(mean), 1, dtype=dtype)
    with torch.cuda.device_of(mean):
        kernels.log_joint[(1,)](
            const,
            linear,
            square,
            mean,
            var,
            prior,
            centre,
            mean.shape[1],
            rule.eps,
            rule.temperature,
            SMALLEST_PRIOR,
            **_sizes(mean),
        )
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
    components, channels = weight.shape
    matrices = sums.new_empty(7, components, channels, dtype=dtype)
    numbers = sums.new_empty(2 * components + 1, dtype=dtype)
    flags = sums.new_empty(components + 1, dtype=torch.bool)
    inputs = (stored.mean, stored.var, centre, weight, bias)
    with torch.cuda.device_of(sums):
        kernels.affine_of_batch[(triton.cdiv(channels, BLOCK),)](
            matrices,
            numbers,
            flags,
            sums.contiguous(),
            *(each.contiguous() for each in inputs),
            channels,
            rule.eps,
            rule.shrinkage,
            rule.kept,
            SPLIT=split,
            **_sizes(weight),
        )
    return unpacked(matrices, numbers, flags)


def sums_gradient(
    to_weight: Tensor, to_bias: Tensor, used: Affine, moments: BatchMoments, rule: Rule
) -> Tensor:
    """See :meth:`.ComponentArithmetic.sums_gradient`."""
    components, channels = to_weight.shape
    output = to_weight.new_empty(components, 1 + 2 * channels)
    matrices = (to_weight, to_bias, used.scale, used.inverse, moments.offset, moments.var)
    with torch.cuda.device_of(output):
        kernels.sums_gradient[(1,)](
            output,
            *(matrix.contiguous() for matrix in matrices),
            moments.count,
            moments.seen,
            channels,
            rule.shrinkage,
            rule.kept,
            **_sizes(to_weight),
        )
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
    channels = running.mean.shape[1]
    with torch.cuda.device_of(running.mean):
        kernels.move[(triton.cdiv(channels, BLOCK),)](
            *running,
            not_finite,
            batch.mean,
            batch.var,
            batch.count,
            batch.share,
            batch.total,
            batch.seen,
            batch.enough,
            channels,
            rate,
            UNBIASED=unbiased,
            SPLIT=split,
            **_sizes(running.mean),
        )


def _sizes(matrix: Tensor) -> dict[str, int]:
    components = len(matrix)
    rows = triton.next_power_of_2(components)
    return dict(M=components, ROWS=rows, BLOCK=BLOCK, num_warps=8)
