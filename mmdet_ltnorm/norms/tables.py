"""The arithmetic of a mixture on its tables (M, C): components, moments and their gradients.

:mod:`~mmdet_ltnorm.norms.mixture` has the formulas. Differences of squares are taken in float64.
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


class Moments(NamedTuple):
    """What a training batch tells about the components.

    ``mean``, ``second`` (about zero) and ``var`` (biased) are (M, C), ``count`` is n_j (M, 1),
    ``share`` the mean responsibility (M,) and ``total`` the number of pixels; ``seen`` (M, 1) and
    ``enough`` tell whether count and total suffice.
    """

    mean: Tensor
    second: Tensor
    var: Tensor
    count: Tensor
    share: Tensor
    total: Tensor
    seen: Tensor
    enough: Tensor


class Affine(NamedTuple):
    """What normalizes, (M, C) each: the mean, 1 / sqrt(var + eps), and x · scale + shift."""

    mean: Tensor
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

    It is const + linear · x + square · (x - centre)², of shapes (M, 1), (M, C) and (M, C), Eq. 9.
    Without its means over j the sum over many channels is small, and float32 does for it.
    """
    mean, variance = stored.mean.double(), stored.var.double() + rule.eps
    inverse = (variance * rule.temperature).reciprocal()
    linear = (mean - centre) * inverse
    log_density = (linear * (mean + centre)).sum(1) + variance.log().sum(1) / rule.temperature
    const = stored.prior.double().clamp_min(SMALLEST_PRIOR).log() - 0.5 * log_density
    linear, square = linear - linear.mean(0), -0.5 * (inverse - inverse.mean(0))
    return const[:, None].to(dtype), linear.to(dtype), square.to(dtype)


def affine(
    weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, rule: Rule, dtype: torch.dtype
) -> Affine:
    """Return what normalizes with means and variances (M, C)."""
    mean, inverse = mean.to(dtype), (var.to(dtype) + rule.eps).rsqrt()
    scale = weight.to(dtype) * inverse
    return Affine(mean, inverse, scale, torch.addcmul(bias.to(dtype), mean, scale, value=-1))


def affine_of_batch(
    weight: Tensor,
    bias: Tensor,
    sums: Tensor,
    stored: Components,
    rule: Rule,
    split: bool,
    dtype: torch.dtype,
) -> tuple[Affine, Moments]:
    """Return what normalizes a training batch, and the batch's moments.

    Args:
        sums: S⁰, S¹, S² side by side, (M, 1 + 2C) in float64.
    """
    moments = moments_of_batch(sums, rule.shrinkage, split, dtype)
    mean, var = moments.mean, moments.var
    if rule.kept:
        mean = torch.lerp(mean, stored.mean, rule.kept)
        var = torch.lerp(var, stored.var, rule.kept)
    mean = torch.where(moments.seen, mean, stored.mean)
    var = torch.where(moments.seen, var, stored.var)
    return affine(weight, bias, mean, var, rule, dtype), moments


def unpacked(tables: Tensor, numbers: Tensor, flags: Tensor) -> tuple[Affine, Moments]:
    """Return what compiled code for :func:`affine_of_batch` writes as its result.

    Args:
        tables: (7, M, C), the four of :class:`Affine`, then mean, second and var of the batch.
        numbers: (2 M + 1,), the counts, the shares and the total.
        flags: (M + 1,), which components were seen, and whether there are enough pixels.
    """
    components = tables.shape[1]
    count, share, total = numbers.split([components, components, 1])
    seen, enough = flags.split([components, 1])
    moments = (*tables[4:], count[:, None], share, total[0], seen[:, None], enough[0])
    return Affine(*tables[:4]), Moments(*moments)


def moments_of_batch(sums: Tensor, shrinkage: float, split: bool, dtype: torch.dtype) -> Moments:
    """Return the moments from the sums S⁰, S¹, S² side by side, (M, 1 + 2C) in float64.

    A component needs one pixel to be seen, and a batch two. Those that the shrinkage lends count,
    except where the batch is split.
    """
    total = sums[:, 0].sum()
    enough = total > 1.5  # two, summed in float32
    shrunk = torch.add(sums, sums.sum(0), alpha=shrinkage)
    seen = (sums if split else shrunk)[:, :1].ge(1) & enough
    count = shrunk[:, :1].clamp_min(1)
    mean, second = (shrunk[:, 1:] / count).chunk(2, dim=1)
    var = torch.addcmul(second, mean, mean, value=-1).clamp_min_(0)
    numbers = (mean, second, var, count, sums[:, 0] / total.clamp_min(1), total)
    return Moments(*(number.to(dtype) for number in numbers), seen, enough)


def affine_gradient(plain: Tensor, weighted: Tensor, used: Affine) -> tuple[Tensor, Tensor]:
    """Return the gradients of weight and bias from Σ w g and Σ w g · x, (M, C) each."""
    return weighted.addcmul_(used.mean, plain, value=-1).mul_(used.inverse), plain


def sums_gradient(
    to_weight: Tensor, to_bias: Tensor, used: Affine, moments: Moments, rule: Rule
) -> Tensor:
    """Return the gradient of the sums (M, 1 + 2C) from those of weight and bias."""
    mine = moments.seen.to(to_bias.dtype) * (1 - rule.kept)
    second = -0.5 * used.scale * used.inverse * to_weight * mine
    first = torch.addcmul(-used.scale * to_bias * mine, moments.mean, second, value=-2)
    zeroth = -(moments.mean * first + moments.second * second).sum(1, keepdim=True)
    gradient = torch.cat([zeroth, first, second], dim=1) / moments.count
    return torch.add(gradient, gradient.sum(0), alpha=rule.shrinkage)


def move(running: Components, batch: Moments, rate: float, unbiased: bool, split: bool) -> None:
    """Move stored statistics in place towards a batch's, which get the weight ``rate``.

    Args:
        unbiased: store N / (N - 1) times the batch's variance, as batch norm does.
        split: the batch says nothing about the prior.
    """
    dtype, var = running.mean.dtype, batch.var
    if unbiased:
        var = var * (batch.total / (batch.total - 1).clamp_min(1))
    weight = batch.seen.to(dtype) * rate
    running.mean.lerp_(batch.mean.to(dtype), weight)
    running.var.lerp_(var.to(dtype), weight)
    if not split:
        running.prior.lerp_(batch.share.to(dtype), batch.enough.to(dtype) * rate)
