"""The arithmetic of a mixture on its tables (M, C): components, moments and their gradients.

:mod:`~mmdet_ltnorm.norms.mixture` has the formulas. Differences of squares are taken in float64.
Pixels and means are offsets from a centre (C,), a point among the pixels, but where they are called
means.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# The responsibilities see no smaller prior, so that a component that lost its pixels can come back.
SMALLEST_PRIOR = 1e-3


class Components(NamedTuple):
    """What a layer stores about its components: mean and var (M, C), prior (M,)."""

    mean: Tensor
    var: Tensor
    prior: Tensor

    def centre(self) -> Tensor:
        """Return a point among the means, (C,)."""
        return self.mean.mean(0)


class Moments(NamedTuple):
    """What a training batch tells about the components.

    ``mean``, ``offset`` (the mean's from the centre) and ``var`` (biased) are (M, C), ``count`` is
    n_j (M, 1), ``share`` the mean responsibility (M,) and ``total`` the number of pixels; ``seen``
    (M, 1) and ``enough`` tell whether count and total suffice.
    """

    mean: Tensor
    offset: Tensor
    var: Tensor
    count: Tensor
    share: Tensor
    total: Tensor
    seen: Tensor
    enough: Tensor


class Affine(NamedTuple):
    """What normalizes an offset o: o · scale + shift.

    ``offset`` is that of the mean and ``inverse`` 1 / sqrt(var + eps); all are (M, C).
    """

    offset: Tensor
    inverse: Tensor
    scale: Tensor
    shift: Tensor


class Rule(NamedTuple):
    """How to normalize: the arguments of these names of :class:`~mmdet_ltnorm.norms.CBN`.

    ``kept`` is the share of the stored statistics in those that normalize a training batch.
    """

    eps: float
    temperature: float
    shrinkage: float
    kept: float
    training: bool
    responsibility_gradient: bool


def log_joint(
    stored: Components, centre: Tensor, rule: Rule, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Return what makes :math:`\log\tau_j + \log f_j(x) / T` of a pixel, but what all j share.

    It is const + linear · o + square · o², of shapes (M, 1), (M, C) and (M, C), Eq. 9. Without the
    means over j the sum over many channels is small, and float32 does for it.
    """
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
    """Return what normalizes with the stored statistics."""
    offset = (stored.mean.double() - centre).to(dtype)
    return affine(weight, bias, offset, stored.var, rule, dtype)


def affine(
    weight: Tensor, bias: Tensor, offset: Tensor, var: Tensor, rule: Rule, dtype: torch.dtype
) -> Affine:
    """Return what normalizes with the means' offsets and variances (M, C)."""
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
) -> tuple[Affine, Moments]:
    """Return what normalizes a training batch, and the batch's moments.

    Args:
        sums: S⁰, S¹, S² of offsets side by side, (M, 1 + 2C) in float64.
    """
    moments = moments_of_batch(sums, centre, rule.shrinkage, split, dtype)
    offset, var = moments.offset, moments.var
    old_offset, old_var = (stored.mean.double() - centre).to(dtype), stored.var.to(dtype)
    if rule.kept:
        offset = torch.lerp(offset, old_offset, rule.kept)
        var = torch.lerp(var, old_var, rule.kept)
    offset = torch.where(moments.seen, offset, old_offset)
    var = torch.where(moments.seen, var, old_var)
    return affine(weight, bias, offset, var, rule, dtype), moments


def unpacked(tables: Tensor, numbers: Tensor, flags: Tensor) -> tuple[Affine, Moments]:
    """Return what compiled code for :func:`affine_of_batch` writes as its result.

    Args:
        tables: (7, M, C), the four of :class:`Affine`, then mean, offset and var of the batch.
        numbers: (2 M + 1,), the counts, the shares and the total.
        flags: (M + 1,), which components were seen, and whether there are enough pixels.
    """
    components = tables.shape[1]
    count, share, total = numbers.split([components, components, 1])
    seen, enough = flags.split([components, 1])
    moments = (*tables[4:], count[:, None], share, total[0], seen[:, None], enough[0])
    return Affine(*tables[:4]), Moments(*moments)


def moments_of_batch(
    sums: Tensor, centre: Tensor, shrinkage: float, split: bool, dtype: torch.dtype
) -> Moments:
    """Return the moments from the sums S⁰, S¹, S² side by side, (M, 1 + 2C) in float64.

    A component needs one pixel to be seen, those that the shrinkage lends included; where the batch
    is split a component needs two, as a batch does. Sums that are not finite are seen.
    """
    total = sums[:, 0].sum()
    enough = total > 1.5  # two, summed in float32
    shrunk = torch.add(sums, sums.sum(0), alpha=shrinkage)
    seen = ~(shrunk[:, :1] < (1.5 if split else 1)) & ~(total <= 1.5)
    count = shrunk[:, :1].clamp_min(1)
    offset, second = (shrunk[:, 1:] / count).chunk(2, dim=1)
    var = torch.addcmul(second, offset, offset, value=-1).clamp_min_(0)
    share = sums[:, 0] / total.clamp_min(1)
    numbers = (offset + centre, offset, var, count, share, total)
    return Moments(*(number.to(dtype) for number in numbers), seen, enough)


def affine_gradient(plain: Tensor, weighted: Tensor, used: Affine) -> tuple[Tensor, Tensor]:
    """Return the gradients of weight and bias from Σ w g and Σ w g · o, (M, C) each."""
    return weighted.addcmul_(used.offset, plain, value=-1).mul_(used.inverse), plain


def sums_gradient(
    to_weight: Tensor, to_bias: Tensor, used: Affine, moments: Moments, rule: Rule
) -> Tensor:
    """Return the gradient of the sums (M, 1 + 2C) from those of weight and bias."""
    mine = moments.seen.to(to_bias.dtype) * (1 - rule.kept)
    second = -0.5 * used.scale * used.inverse * to_weight * mine
    first = torch.addcmul(-used.scale * to_bias * mine, moments.offset, second, value=-2)
    square = moments.var + moments.offset.square()
    zeroth = -(moments.offset * first + square * second).sum(1, keepdim=True)
    gradient = torch.cat([zeroth, first, second], dim=1) / moments.count
    return torch.add(gradient, gradient.sum(0), alpha=rule.shrinkage)


def move(
    running: Components,
    batch: Moments,
    not_finite: Tensor,
    rate: float,
    unbiased: bool,
    split: bool,
) -> None:
    """Move stored statistics in place towards a batch's, which get the weight ``rate``.

    Args:
        not_finite: a number that becomes 1 if the batch's are not finite; those move nothing.
        unbiased: store N / (N - 1) times the batch's variance, as batch norm does; N is the number
            of pixels of the batch or, where it is split, of the component's part.
        split: the batch says nothing about the prior.
    """
    dtype, var = running.mean.dtype, batch.var
    finite = batch.mean.isfinite() & var.isfinite()
    not_finite.masked_fill_(~finite.all(), 1)
    if unbiased:
        pixels = batch.count if split else batch.total
        var = var * (pixels / (pixels - 1).clamp_min(1))
    weight = (batch.seen & finite).to(dtype) * rate
    running.mean.lerp_(batch.mean.where(finite, 0).to(dtype), weight)
    running.var.lerp_(var.where(finite, 0).to(dtype), weight)
    if not split:
        share = batch.share.nan_to_num(0)
        running.prior.lerp_(share.to(dtype), batch.enough.to(dtype) * rate)
