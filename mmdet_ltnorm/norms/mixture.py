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
from mmdet_ltnorm.norms.passes import passes_over
from mmdet_ltnorm.norms.synchronize import sum_over_ranks

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


def normalizing(moments: Moments, stored: Components, kept: float) -> tuple[Tensor, Tensor]:
    """Return the means and variances that normalize a training batch."""
    mean, var = moments.mean, moments.var
    if kept:
        mean, var = torch.lerp(mean, stored.mean, kept), torch.lerp(var, stored.var, kept)
    return torch.where(moments.seen, mean, stored.mean), torch.where(moments.seen, var, stored.var)


def sums_gradient(moments: Moments, mean: Tensor, var: Tensor, rule: Rule) -> Tensor:
    """Return the gradient of the sums (M, 1 + 2C) from that of the normalizing mean and var."""
    used = moments.seen.to(mean.dtype) * (1 - rule.kept)
    second = var * used
    first = torch.addcmul(mean * used, moments.mean, second, value=-2)
    zeroth = -(moments.mean * first + moments.second * second).sum(1, keepdim=True)
    gradient = torch.cat([zeroth, first, second], dim=1) / moments.count
    return sum_over_ranks(torch.add(gradient, gradient.sum(0), alpha=rule.shrinkage))


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
        x, dtype = pixels.dense(x), torch.promote_types(x.dtype, torch.float32)
        passes = passes_over(x, len(weight))
        mean, var, moments = stored.mean, stored.var, ()
        with torch.autocast(x.device.type, enabled=False):
            joint = log_joint(stored, centre, rule, dtype)
            weights, sums = passes.expectation(x, joint, centre, groups)
            if rule.training:
                sums, split = sum_over_ranks(sums), groups is not None
                moments = moments_of_batch(sums, rule.shrinkage, split, dtype)
                mean, var = normalizing(moments, stored, rule.kept)
            mean, inverse = mean.to(dtype), (var.to(dtype) + rule.eps).rsqrt()
            scale = weight.to(dtype) * inverse
            shift = torch.addcmul(bias.to(dtype), mean, scale, value=-1)
            y = passes.mixed_affine(x, weights, scale, shift)
        ctx.rule, ctx.split = rule, groups is not None
        ctx.save_for_backward(x, weights, weight, bias, centre, mean, inverse, *joint, *moments)
        ctx.mark_non_differentiable(weights, *moments)
        ctx.set_materialize_grads(False)  # of the moments: zeros that nobody reads
        return y, weights, *moments

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        if gradient is None:
            return (None,) * 7
        x, weights, weight, bias, centre, mean, inverse, *rest = ctx.saved_tensors
        joint, moments = rest[:3], rest[3:]
        gradient, passes = pixels.like(gradient, x), passes_over(x, len(weight))
        scale = weight.to(mean.dtype) * inverse
        with torch.autocast(x.device.type, enabled=False):
            to_bias, to_weight = passes.gradient_sums(x, gradient, weights)
            to_weight.addcmul_(mean, to_bias, value=-1).mul_(inverse)
            if moments:
                to_mean, to_var = -scale * to_bias, -0.5 * scale * inverse * to_weight
                sums = sums_gradient(Moments(*moments), to_mean, to_var, ctx.rule)
            else:
                sums = scale.new_zeros(len(scale), 1 + 2 * len(centre))
            to_x = None
            if ctx.needs_input_grad[0]:
                coefficients = (scale, *sums[:, 1:].chunk(2, dim=1))
                if ctx.rule.responsibility_gradient and not ctx.split:
                    affine = (scale, torch.addcmul(bias.to(mean.dtype), mean, scale, value=-1))
                    logits = passes.logit_gradient(x, gradient, weights, centre, affine, sums)
                    _, linear, square = joint
                    linear = linear - 2 * centre.to(mean.dtype) * square
                    more = (torch.zeros_like(scale), linear, square)
                    pairs = zip(coefficients, more, strict=True)
                    coefficients = tuple(torch.cat(pair) for pair in pairs)
                    weights = torch.cat([weights, logits], dim=1)
                to_x = passes.input_gradient(x, gradient, weights, *coefficients)
        return to_x, to_weight.to(weight.dtype), to_bias.to(bias.dtype), None, None, None, None


def normalized(x: Tensor, weight: Tensor, bias: Tensor, stored: Components, rule: Rule) -> Tensor:
    """Return what :class:`MixtureNorm` does in evaluation, in operations that trace and compile."""
    last = x.dim() - 1  # the ONNX exporter mistakes -1
    rows = widened(x).movedim(1, last)
    centre = stored.mean.mean(0)
    const, linear, square = log_joint(stored, centre, rule, rows.dtype)
    scale = weight * (stored.var + rule.eps).rsqrt()
    shift = bias - stored.mean * scale
    logits = const.t() + rows @ linear.t() + (rows - centre).square() @ square.t()
    weights = logits.softmax(-1)
    return (rows * (weights @ scale) + weights @ shift).movedim(last, 1).to(x.dtype)
