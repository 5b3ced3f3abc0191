"""CBN as Triton kernels: three launches forward, three backward, and nothing else on the device.

Numbers are widened to float32 as they are read. Sums over pixels are partial sums, one row for each
program, which the next kernel adds in a fixed order and in float64; so results are the same in
every run. :mod:`.launches` beside it chooses the sizes.
"""

from functools import partial

import torch
import triton
from torch import Tensor

from mmdet_ltnorm.norms.backends import feature_map
from mmdet_ltnorm.norms.backends.gpu import mixture_kernels as kernels
from mmdet_ltnorm.norms.backends.gpu.launches import Launches, launches, matrices
from mmdet_ltnorm.norms.backends.interface import (
    SMALLEST_PRIOR,
    SMALLEST_RESPONSIBILITY,
    Components,
    Learning,
    MixtureTables,
    Pass,
    Rule,
)
from mmdet_ltnorm.norms.backends.precision import computing_dtype
from mmdet_ltnorm.norms.backends.synchronize import (
    moments_gradient_over_ranks,
    moments_over_ranks,
    there_are_other_ranks,
)


def forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    stored: Components,
    groups: Tensor | None,
    rule: Rule,
    learning: Learning | None,
) -> tuple[Tensor, Pass]:
    """See :meth:`.Mixture.forward`."""
    (components, channels), training, ranks = weight.shape, rule.training, there_are_other_ranks()
    to = _launches(x, components, ranks)
    empty = partial(torch.empty, dtype=computing_dtype(x), device=x.device)
    y, weights, centre = torch.empty_like(x), empty(to.weights), empty(channels)
    joint, table = empty(2, *weight.shape), empty(7 if training else 4, *weight.shape)
    zeroth = powers = numbers = flags = start = batches = not_finite = sample = None
    if training:
        zeroth, numbers = empty(to.programs, components), empty(2 * components + 1)
        flags = empty(components + 1, dtype=torch.bool)
        if to.by_pixels:
            powers = empty(to.programs, 2, *weight.shape)
    if groups is not None:
        groups = groups.to(x.device)
    if learning:
        batches, not_finite = learning.batches, learning.not_finite
        sample = learning.sample if groups is None else None
        start = stored.mean.new_empty((2 * channels + 1) * components)
    with torch.cuda.device_of(x):
        kernels.expectation[(to.programs,)](
            x,
            weights,
            zeroth,
            powers,
            joint,
            centre,
            *stored,
            groups,
            sample,
            1 if sample is None else len(sample),
            to.geometry,
            rule.eps,
            rule.temperature,
            SMALLEST_PRIOR,
            SMALLEST_RESPONSIBILITY,
            AT_STORED=not training,
            **to.expectation,
        )
        if training and ranks:
            zeroth, powers = _over_ranks(zeroth, powers, centre)
        tile = to.finish_channels if powers is None else to.finish_rows
        kernels.finish[(triton.cdiv(channels, tile["CHANNELS"]),)](
            table,
            numbers,
            flags,
            start,
            weight,
            bias,
            *stored,
            centre,
            zeroth,
            powers,
            x,
            weights,
            batches,
            not_finite,
            to.geometry,
            0 if zeroth is None else len(zeroth),
            0 if powers is None else len(powers),
            rule.eps,
            rule.shrinkage,
            rule.kept,
            learning.rate if learning else 0.0,
            SPLIT=groups is not None,
            UNBIASED=bool(learning and learning.unbiased),
            **tile,
        )
        tables = weights, centre, table
        kernels.mix[to.mix_grid](x, None, y, *tables, None, to.geometry, **to.mix)
    return y, Pass(weights, centre, MixtureTables(table, numbers, flags), start)


def backward(
    gradient: Tensor, x: Tensor, weight: Tensor, of: Pass, rule: Rule, needs_x: bool
) -> tuple[Tensor | None, Tensor, Tensor]:
    """See :meth:`.Mixture.backward`."""
    gradient, channels = feature_map.like(gradient, x), x.shape[1]
    to = _launches(x, len(weight), there_are_other_ranks())
    pixels, tables = (of.responsibilities, of.centre), of.tables
    powers = tables.matrices.new_empty(to.sums_grid[0], 2, *weight.shape)
    to_weight, to_bias, to_x, to_sums = *map(torch.empty_like, (weight, weight)), None, None
    if needs_x:
        to_x, to_sums = torch.empty_like(x), torch.empty_like(powers[0])
    with torch.cuda.device_of(x):
        kernels.gradient_sums[to.sums_grid](
            x, gradient, of.responsibilities, powers, of.centre, to.geometry, **to.sums
        )
        kernels.finish_gradient[(triton.cdiv(channels, to.finish_gradient["CHANNELS"]),)](
            to_weight,
            to_bias,
            to_sums,
            powers,
            *tables,
            channels,
            len(powers),
            rule.shrinkage,
            rule.kept,
            **to.finish_gradient,
        )
        if needs_x:
            if rule.training and there_are_other_ranks():
                to_sums = torch.stack(moments_gradient_over_ranks(*to_sums, of.centre))
            inputs = *pixels, tables.matrices, to_sums
            kernels.mix[to.mix_grid](x, gradient, to_x, *inputs, to.geometry, **to.mix)
    return to_x, to_weight, to_bias


def learn(stored: Components, of: Pass, learning: Learning, split: bool) -> None:
    """See :meth:`.Mixture.learn`."""
    components, channels = stored.mean.shape
    size = matrices(components)
    with torch.cuda.device_of(stored.mean):
        kernels.move[(triton.cdiv(channels, size["CHANNELS"]),)](
            *stored,
            learning.not_finite,
            learning.batches,
            *of.tables,
            channels,
            learning.rate,
            SPLIT=split,
            UNBIASED=learning.unbiased,
            **size,
        )
    if not split:
        feature_map.keep_some_pixels(learning.sample, of.responsibilities)


def _launches(x: Tensor, components: int, ranks: bool) -> Launches:
    last = feature_map.channels_are_last(x)
    return launches(x.shape, last, x.dtype.itemsize, components, ranks)


def _over_ranks(zeroth: Tensor, powers: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sums over the pixels of all ranks, as one program's."""
    sums = [each.sum(0, dtype=torch.float64) for each in (zeroth, powers)]
    total = moments_over_ranks(torch.cat([sums[0][:, None], *sums[1]], dim=1), centre)
    components, channels = powers.shape[2:]
    first_and_second = total[:, 1:].reshape(components, 2, channels).transpose(0, 1)
    return total[None, :, 0].contiguous(), first_and_second.contiguous()[None]
