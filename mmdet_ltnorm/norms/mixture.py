r"""Normalization under a mixture of Gaussians with diagonal covariances, forward and backward.

Pixels :math:`x_i \in R^C`, i = 1..N, and components j = 1..M with mean :math:`\mu_j`, variance
:math:`v_j` and prior :math:`\tau_j`. With the responsibilities :math:`w_{ij}` (CBN paper, Eq. 8),
:math:`a_j = \gamma_j / \sqrt{v_j + \epsilon}` and :math:`c_j = \beta_j - \mu_j \circ a_j`, Eq. 16
reads

.. math:: y_i = x_i \circ \sum_j w_{ij} a_j + \sum_j w_{ij} c_j .

The batch's moments follow from the sums :math:`S^n_j = \sum_i w_{ij} x_i^n`, n = 0, 1, 2, where
every pixel counts k more for every component (shrinkage towards the moments of the whole batch):

.. math:: n_j = S^0_j + k \sum_l S^0_l, \quad
          \mu_j = \frac{S^1_j + k \sum_l S^1_l}{n_j}, \quad
          v_j = \frac{S^2_j + k \sum_l S^2_l}{n_j} - \mu_j^2 .

This arithmetic on (M, C) is done in float64, where the difference of squares is harmless.
Backward, with :math:`G_j = \sum_i w_{ij} g_i` and
:math:`D_j = \sum_i w_{ij}\, g_i \circ (x_i - \mu_j)`, and without gradient through w:

.. math:: \partial\beta_j = G_j, \quad \partial\gamma_j = D_j / \sqrt{v_j + \epsilon}, \quad
          \partial v_j = -\tfrac12 a_j D_j / (v_j + \epsilon), \quad
          \partial\mu_j = -a_j G_j - 2 \mu_j \partial v_j,

.. math:: \partial S^1_j = \frac{\partial\mu_j}{n_j} + k \sum_l \frac{\partial\mu_l}{n_l}, \quad
          \partial S^2_j = \frac{\partial v_j}{n_j} + k \sum_l \frac{\partial v_l}{n_l}, \quad
          \partial x_i = g_i \circ \sum_j w_{ij} a_j
          + \sum_j w_{ij} (\partial S^1_j + 2 x_i \circ \partial S^2_j) .
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmdet_ltnorm.norms import pixels
from mmdet_ltnorm.norms.functional import widened
from mmdet_ltnorm.norms.synchronize import sum_over_ranks

# The responsibilities see no smaller prior, so that a component that lost its pixels can come back.
SMALLEST_PRIOR = 1e-3


class Components(NamedTuple):
    """What a layer stores about its components: mean and var (M, C), prior (M,), in float64."""

    mean: Tensor
    var: Tensor
    prior: Tensor


class Moments(NamedTuple):
    """What a training batch tells about the components, in float64.

    ``mean``, ``second`` (about zero) and ``var`` (biased) are (M, C), ``count`` is n_j and ``seen``
    whether it suffices, (M, 1), ``share`` is the mean responsibility (M,), ``total`` the number of
    pixels and ``enough`` whether they have a variance.
    """

    mean: Tensor
    second: Tensor
    var: Tensor
    count: Tensor
    seen: Tensor
    share: Tensor
    total: Tensor
    enough: Tensor


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


def log_joint(stored: Components, centre: Tensor, rule: Rule) -> tuple[Tensor, Tensor, Tensor]:
    r"""Return what makes :math:`\log\tau_j + \log f_j(x) / T` of a pixel, up to a constant.

    It is const + linear · x + square · (x - centre)², of shapes (M, 1), (M, C) and (M, C): Eq. 9
    without :math:`(2\pi)^C`.
    """
    variance = (stored.var + rule.eps) * rule.temperature
    linear = (stored.mean - centre) / variance
    # Up to T log T, equal for all components:
    log_variance = variance.log().sum(1) / rule.temperature
    quadratic = (linear * (stored.mean + centre)).sum(1)
    const = stored.prior.clamp_min(SMALLEST_PRIOR).log() - 0.5 * (log_variance + quadratic)
    return const[:, None], linear, -0.5 / variance


def moments_of_batch(sums: Tensor, shrinkage: float, split: bool) -> Moments:
    """Return the moments from the sums S⁰, S¹, S² side by side, (M, 1 + 2C).

    A component needs one pixel to be seen, and a batch two. Those that the shrinkage lends count,
    except where the batch is split.
    """
    total = sums[:, 0].sum()
    enough = total > 1.5  # two, summed in float32
    shrunk = sums + shrinkage * sums.sum(0)
    seen = (sums if split else shrunk)[:, :1].ge(1) & enough
    count = shrunk[:, :1].clamp_min(1)
    mean, second = (shrunk[:, 1:] / count).chunk(2, dim=1)
    var = (second - mean.square()).clamp_min(0)
    share = sums[:, 0] / total.clamp_min(1)
    return Moments(mean, second, var, count, seen, share, total, enough)


def normalizing(moments: Moments, stored: Components, kept: float) -> tuple[Tensor, Tensor]:
    """Return the means and variances that normalize a training batch."""
    mean, var = moments.mean, moments.var
    if kept:
        mean, var = torch.lerp(mean, stored.mean, kept), torch.lerp(var, stored.var, kept)
    return torch.where(moments.seen, mean, stored.mean), torch.where(moments.seen, var, stored.var)


def sums_gradient(moments: Moments, mean: Tensor, var: Tensor, rule: Rule) -> Tensor:
    """Return the gradient of the sums (M, 1 + 2C) from that of the normalizing mean and var."""
    used = moments.seen.double() * (1 - rule.kept)
    second = var * used
    first = mean * used - 2 * moments.mean * second
    zeroth = -(moments.mean * first + moments.second * second).sum(1, keepdim=True)
    gradient = torch.cat([zeroth, first, second], dim=1) / moments.count
    return sum_over_ranks(gradient + rule.shrinkage * gradient.sum(0))


class MixtureNorm(torch.autograd.Function):
    """Return the normalized input, the responsibilities (B, M, P) and, in training, the moments."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        stored: Components,
        centre: Tensor,
        groups: Tensor | None,
        rule: Rule,
    ) -> tuple[Tensor, ...]:
        x = pixels.dense(x)
        mean, var, moments = stored.mean, stored.var, ()
        with torch.autocast(x.device.type, enabled=False):
            joint = log_joint(stored, centre, rule)
            weights, sums = pixels.expectation(x, joint, centre, groups)
            if rule.training:
                split = groups is not None
                moments = moments_of_batch(sum_over_ranks(sums), rule.shrinkage, split)
                mean, var = normalizing(moments, stored, rule.kept)
            inverse = (var + rule.eps).rsqrt()
            scale = weight * inverse
            y = pixels.mixed_affine(x, weights, scale, bias - mean * scale)
        ctx.rule, ctx.split = rule, groups is not None
        ctx.save_for_backward(x, weights, weight, bias, centre, mean, inverse, *joint, *moments)
        ctx.mark_non_differentiable(weights, *moments)
        return y, weights, *moments

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weights, weight, bias, centre, mean, inverse, *rest = ctx.saved_tensors
        joint, moments = rest[:3], rest[3:]
        gradient = pixels.like(gradient, x)
        scale = weight * inverse
        with torch.autocast(x.device.type, enabled=False):
            plain, weighted = pixels.gradient_sums(x, gradient, weights)
            weighted -= mean * plain
            if moments:
                to_var = -0.5 * scale * inverse.square() * weighted
                sums = sums_gradient(Moments(*moments), -scale * plain, to_var, ctx.rule)
            else:
                sums = centre.new_zeros(len(scale), 1 + 2 * len(centre))
            to_x = None
            if ctx.needs_input_grad[0]:
                first, second = sums[:, 1:].chunk(2, dim=1)
                coefficients = (scale, first, second)
                if ctx.rule.responsibility_gradient and not ctx.split:
                    affine = (scale, bias - mean * scale)
                    logits = pixels.logit_gradient(x, gradient, weights, centre, affine, sums)
                    _, linear, square = joint
                    more = (torch.zeros_like(scale), linear - 2 * centre * square, square)
                    coefficients = [
                        torch.cat(pair) for pair in zip(coefficients, more, strict=True)
                    ]
                    weights = torch.cat([weights, logits], dim=1)
                to_x = pixels.input_gradient(x, gradient, weights, *coefficients)
        to_weight, to_bias = (weighted * inverse).to(weight.dtype), plain.to(bias.dtype)
        return to_x, to_weight, to_bias, None, None, None, None


def normalized(x: Tensor, weight: Tensor, bias: Tensor, stored: Components, rule: Rule) -> Tensor:
    """Return what :class:`MixtureNorm` does in evaluation, in operations that trace and compile."""
    last = x.dim() - 1  # the ONNX exporter mistakes -1
    rows = widened(x).movedim(1, last)
    centre = stored.mean.mean(0)
    inverse = (stored.var + rule.eps).rsqrt()
    scale = weight * inverse
    tensors = (*log_joint(stored, centre, rule), centre, scale, bias - stored.mean * scale)
    const, linear, square, centre, scale, shift = (tensor.to(rows.dtype) for tensor in tensors)
    logits = const.t() + rows @ linear.t() + (rows - centre).square() @ square.t()
    weights = logits.softmax(-1)
    return (rows * (weights @ scale) + weights @ shift).movedim(last, 1).to(x.dtype)
