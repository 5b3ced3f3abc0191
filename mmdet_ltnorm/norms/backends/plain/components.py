"""Arithmetic on M components: affine maps, a batch's moments and their gradients."""

import torch
from torch import Tensor

from mmdet_ltnorm.norms.backends.interface import (
    SMALLEST_PRIOR,
    Affine,
    BatchMoments,
    Components,
    Joint,
    Learning,
    MixtureTables,
    Rule,
)


def log_joint(stored: Components, centre: Tensor, rule: Rule, dtype: torch.dtype) -> Joint:
    """See :meth:`.ComponentArithmetic.log_joint`."""
    offset, variance = stored.mean.double() - centre, stored.var.double() + rule.eps
    inverse = (variance * rule.temperature).reciprocal()
    linear = offset * inverse
    log_density = (linear * offset).sum(1) + variance.log().sum(1) / rule.temperature
    const = stored.prior.double().clamp_min(SMALLEST_PRIOR).log() - 0.5 * log_density
    const, linear = const - const.mean(0), linear - linear.mean(0)
    square = -0.5 * (inverse - inverse.mean(0))
    return const[:, None].to(dtype), linear.to(dtype), square.to(dtype)


def affine_of_stored(
    weight: Tensor,
    bias: Tensor,
    stored: Components,
    centre: Tensor,
    rule: Rule,
    dtype: torch.dtype,
) -> Affine:
    """See :meth:`.ComponentArithmetic.affine_of_stored`."""
    offset = (stored.mean.double() - centre).to(dtype)
    return _affine(weight, bias, offset, stored.var, rule, dtype)


def _affine(
    weight: Tensor, bias: Tensor, offset: Tensor, var: Tensor, rule: Rule, dtype: torch.dtype
) -> Affine:
    """Return the affine map of components with these offsets and variances (M, C)."""
    inverse = (var.to(dtype) + rule.eps).rsqrt()
    scale = weight.to(dtype) * inverse
    return Affine(offset, inverse, scale, torch.addcmul(bias.to(dtype), offset, scale, value=-1))


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
    moments = moments_of_batch(sums, centre, rule.shrinkage, split, dtype)
    offset, var = moments.offset, moments.var
    old_offset, old_var = (stored.mean.double() - centre).to(dtype), stored.var.to(dtype)
    if rule.kept:
        offset = torch.lerp(offset, old_offset, rule.kept)
        var = torch.lerp(var, old_var, rule.kept)
    offset = torch.where(moments.seen, offset, old_offset)
    var = torch.where(moments.seen, var, old_var)
    return MixtureTables.of(_affine(weight, bias, offset, var, rule, dtype), moments)


def moments_of_batch(
    sums: Tensor, centre: Tensor, shrinkage: float, split: bool, dtype: torch.dtype
) -> BatchMoments:
    """Return the moments that follow from a batch's sums."""
    total = sums[:, 0].sum()
    enough = total > 1.5  # two, summed in float32
    shrunk = torch.add(sums, sums.sum(0), alpha=shrinkage)
    seen = ~(shrunk[:, :1] < (1.5 if split else 1)) & ~(total <= 1.5)
    count = shrunk[:, :1].clamp_min(1)
    offset, second = (shrunk[:, 1:] / count).chunk(2, dim=1)
    var = torch.addcmul(second, offset, offset, value=-1).clamp_min_(0)
    share = sums[:, 0] / total.clamp_min(1)
    numbers = (offset + centre, offset, var, count, share, total)
    return BatchMoments(*(number.to(dtype) for number in numbers), seen, enough)


def affine_gradient(plain: Tensor, weighted: Tensor, used: Affine) -> tuple[Tensor, Tensor]:
    """See :meth:`.ComponentArithmetic.affine_gradient`."""
    return weighted.addcmul_(used.offset, plain, value=-1).mul_(used.inverse), plain


def sums_gradient(
    to_weight: Tensor, to_bias: Tensor, tables: MixtureTables, rule: Rule
) -> tuple[Tensor, Tensor]:
    """See :meth:`.ComponentArithmetic.sums_gradient`."""
    used, moments = tables.used(), tables.moments()
    mine = moments.seen.to(to_bias.dtype) * (1 - rule.kept)
    second = -0.5 * used.scale * used.inverse * to_weight * mine
    first = torch.addcmul(-used.scale * to_bias * mine, moments.offset, second, value=-2)
    both = torch.stack([first, second]) / moments.count
    first, second = torch.add(both, both.sum(1, keepdim=True), alpha=rule.shrinkage)
    return first, second


def move(stored: Components, tables: MixtureTables, learning: Learning, split: bool) -> None:
    """See :meth:`.ComponentArithmetic.move`."""
    dtype, batch = stored.mean.dtype, tables.moments()
    var, finite = batch.var, batch.mean.isfinite() & batch.var.isfinite()
    learning.not_finite.masked_fill_(~finite.all(), 1)
    if learning.unbiased:
        pixels = batch.count if split else batch.total
        var = var * (pixels / (pixels - 1).clamp_min(1))
    weight = (batch.seen & finite).to(dtype) * learning.rate
    stored.mean.lerp_(batch.mean.where(finite, 0).to(dtype), weight)
    stored.var.lerp_(var.where(finite, 0).to(dtype), weight)
    if not split:
        share = batch.share.nan_to_num(0)
        stored.prior.lerp_(share.to(dtype), batch.enough.to(dtype) * learning.rate)
