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

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmdet_ltnorm.norms.backends.interface import (
    Components,
    Learning,
    Mixture,
    MixtureTables,
    Pass,
    Rule,
)
from mmdet_ltnorm.norms.backends.plain.components import log_joint
from mmdet_ltnorm.norms.backends.precision import widened


class MixtureNorm(torch.autograd.Function):
    """A backend's :meth:`.Mixture.forward` with its gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        stored: Components,
        groups: Tensor | None,
        rule: Rule,
        learning: Learning | None,
        backend: Mixture,
    ) -> tuple[Tensor, Pass]:
        y, of = backend.forward(x, weight, bias, stored, groups, rule, learning)
        ctx.rule, ctx.backend = rule, backend
        ctx.save_for_backward(x, weight, of.responsibilities, of.centre, *of.tables)
        ctx.set_materialize_grads(False)  # else an output that nobody used would cost a pass
        return y, of

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        if gradient is None:
            return (None,) * 8
        x, weight, responsibilities, centre, *tables = ctx.saved_tensors
        of = Pass(responsibilities, centre, MixtureTables(*tables), None)
        needs_x = ctx.needs_input_grad[0]
        return *ctx.backend.backward(gradient, x, weight, of, ctx.rule, needs_x), *(None,) * 5


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
