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

This arithmetic on (M, C) is done in float64, where the difference of squares is harmless. All of it
is in offsets from a point among the pixels, the centre, in place of :math:`x_i` and
:math:`\mu_j`: pixels that are far from zero, measured in their deviation, then lose no precision.
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

from mmdet_ltnorm.norms.backends import feature_map
from mmdet_ltnorm.norms.backends.interface import (
    Affine,
    Backend,
    BatchMoments,
    Components,
    Rule,
)
from mmdet_ltnorm.norms.backends.plain.components import log_joint
from mmdet_ltnorm.norms.backends.precision import computing_dtype, widened
from mmdet_ltnorm.norms.synchronize import moments_gradient_over_ranks, moments_over_ranks


class Pass(NamedTuple):
    """The tensors of a forward pass that its backward pass needs; responsibilities are (B, M, P).

    ``moments`` are None outside of training.
    """

    responsibilities: Tensor
    used: Affine
    moments: BatchMoments | None


def forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    stored: Components,
    centre: Tensor,
    groups: Tensor | None,
    rule: Rule,
    backend: Backend,
) -> tuple[Tensor, Pass]:
    """Normalize a dense input (B, C, ...); ``groups`` (B,) are those of a split pass."""
    dtype, moments, split = computing_dtype(x), None, groups is not None
    pixels, components = backend
    with torch.autocast(x.device.type, enabled=False):
        joint = components.log_joint(stored, centre, rule, dtype)
        weights, sums = pixels.expectation(x, joint, centre, groups, rule.training)
        if rule.training:
            sums = moments_over_ranks(sums, centre)
            args = weight, bias, sums, stored, centre, rule, split, dtype
            used, moments = components.affine_of_batch(*args)
        else:
            used = components.affine_of_stored(weight, bias, stored, centre, rule, dtype)
        y = pixels.mixed_affine(x, centre, weights, used.scale, used.shift)
    return y, Pass(weights, used, moments)


def backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    centre: Tensor,
    of: Pass,
    rule: Rule,
    backend: Backend,
    needs_x: bool,
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Return the gradients of x, if it needs one, and of weight and bias."""
    gradient, (pixels, components) = feature_map.like(gradient, x), backend
    weights, used, moments = of
    with torch.autocast(x.device.type, enabled=False):
        plain, weighted = pixels.gradient_sums(x, centre, gradient, weights)
        to_weight, to_bias = components.affine_gradient(plain, weighted, used)
        if moments:
            sums = components.sums_gradient(to_weight, to_bias, used, moments, rule)
            sums = moments_gradient_over_ranks(sums, centre)
        else:
            sums = used.scale.new_zeros(len(weight), 1 + 2 * len(centre))
        to_x = None
        if needs_x:
            first, second = sums[:, 1:].chunk(2, dim=1)
            to_x = pixels.input_gradient(x, centre, gradient, weights, used.scale, first, second)
    return to_x, to_weight.to(weight.dtype), to_bias.to(weight.dtype)


class MixtureNorm(torch.autograd.Function):
    """:func:`forward` with its gradients; returns the output, responsibilities and moments."""

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
        backend: Backend,
    ) -> tuple[Tensor, ...]:
        y, of = forward(x, weight, bias, stored, centre, groups, rule, backend)
        (weights, used, _), moments = of, of.moments or ()
        ctx.rule, ctx.backend = rule, backend
        ctx.save_for_backward(x, weight, centre, weights, *used, *moments)
        ctx.mark_non_differentiable(weights, *moments)
        ctx.set_materialize_grads(False)  # else the moments' gradients would be tensors of zeros
        return y, weights, *moments

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        if gradient is None:
            return (None,) * 8
        x, weight, centre, weights, *rest = ctx.saved_tensors
        moments = BatchMoments(*rest[4:]) if rest[4:] else None
        of = Pass(weights, Affine(*rest[:4]), moments)
        options = ctx.rule, ctx.backend, ctx.needs_input_grad[0]
        return *backward(gradient, x, weight, centre, of, *options), *(None,) * 5


def normalized(x: Tensor, weight: Tensor, bias: Tensor, stored: Components, rule: Rule) -> Tensor:
    """Return evaluation's output in operations of torch alone, for files that need no package."""
    last = x.dim() - 1  # the ONNX exporter mistakes -1
    rows = widened(x).movedim(1, last)
    centre = stored.centre().to(rows.dtype)
    const, linear, square = log_joint(stored, centre, rule, rows.dtype)
    scale = weight * (stored.var + rule.eps).rsqrt()
    shift = bias - (stored.mean - centre) * scale
    offsets = rows - centre
    logits = const.t() + offsets @ linear.t() + offsets.square() @ square.t()
    weights = logits.detach().softmax(-1)  # no gradient through the responsibilities
    return (offsets * (weights @ scale) + weights @ shift).movedim(last, 1).to(x.dtype)
