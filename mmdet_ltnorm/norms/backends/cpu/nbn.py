r"""NBN in C++: batch norm's passes over memory and nothing beside them.

With :math:`s_\gamma = g\,c_\gamma / \max(\|\tilde\gamma\|, 10^{-2})`, and :math:`s_\beta` alike,
forward is :math:`y = s_\gamma \tilde\gamma \circ \hat x + s_\beta \tilde\beta`. Backward, with
:math:`G = \sum_i g_i` and :math:`D = \sum_i g_i \circ \hat x_i` over the n pixels:

.. math:: \partial\tilde\gamma = s_\gamma \Big(D - \tilde\gamma
              \frac{\tilde\gamma \cdot D}{\|\tilde\gamma\|^2}\Big), \qquad
          \partial g = \frac{c_\gamma}{\|\tilde\gamma\|}\, \tilde\gamma \cdot D
              + \frac{c_\beta}{\|\tilde\beta\|}\, \tilde\beta \cdot G

(the second term in brackets is absent below a length of 0.01), :math:`\partial\tilde\beta` alike
from G, and :math:`\partial x_i = s_\gamma \tilde\gamma / \sigma \circ (g_i - G/n - \hat x_i D/n)`,
where stored statistics normalize without the last two terms.
"""

from typing import Any

import torch
from torch import Tensor

from mmdet_ltnorm.norms.backends.cpu.native import call_over
from mmdet_ltnorm.norms.backends.fusing import differentiable_gradients
from mmdet_ltnorm.norms.backends.interface import DIRECTION_FLOOR, RawAffine, Statistics
from mmdet_ltnorm.norms.backends.plain import nbn as plain


def normalized(x: Tensor, raw: RawAffine, statistics: Statistics) -> Tensor:
    """Return (B, C, ...) batch-normalized, then scaled and shifted by the normalized vectors."""
    if torch.is_grad_enabled():
        return FusedBatchNorm.apply(x, *raw, statistics)
    return forward(x, raw, statistics)[0]


def forward(x: Tensor, raw: RawAffine, statistics: Statistics) -> tuple[Tensor, Tensor]:
    """See :meth:`.NormalizedBatchNorm.forward`."""
    mean, var, from_batch, momentum, eps = statistics
    y, used = torch.empty_like(x), x.new_empty(2, x.shape[1])
    options = DIRECTION_FLOOR, eps, momentum, from_batch
    call_over(x, "nbn_forward", *raw, *options, mean, var, y, used)
    return y, used


def backward(
    gradient: Tensor, x: Tensor, raw: RawAffine, used: Tensor, from_batch: bool, needs_x: bool
) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor | None]:
    """See :meth:`.NormalizedBatchNorm.backward`."""
    to_x = torch.empty_like(x) if needs_x else None
    to_weight, to_bias = torch.empty_like(raw[0]), torch.empty_like(raw[1])
    to_magnitudes = x.new_empty(2)
    inputs = gradient.contiguous(), *raw, DIRECTION_FLOOR, from_batch, used
    call_over(x, "nbn_backward", *inputs, to_x, to_weight, to_bias, to_magnitudes)
    to_magnitude, to_bias_magnitude = to_magnitudes.unbind()
    return to_x, to_weight, to_bias, to_magnitude, None if raw[3] is None else to_bias_magnitude


class FusedBatchNorm(torch.autograd.Function):
    """:func:`normalized`, with gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *args: Any) -> Tensor:
        *raw, statistics = args
        y, used = forward(x, RawAffine(*raw), statistics)
        ctx.from_batch, ctx.eps = statistics.from_batch, statistics.eps
        ctx.save_for_backward(x, *raw, used)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *raw, used = ctx.saved_tensors
        if torch.is_grad_enabled():
            statistics = Statistics(None, None, True, 0.0, ctx.eps)
            if not ctx.from_batch:
                statistics = Statistics(used[0], used[1] ** -2, False, 0.0, 0.0)

            def function(x: Tensor, *raw: Tensor) -> Tensor:
                return plain.normalized(x, RawAffine(*raw), statistics)

            needed = ctx.needs_input_grad[:-1]
            return *differentiable_gradients(function, (x, *raw), needed, [gradient]), None
        needs_x = ctx.needs_input_grad[0]
        gradients = backward(gradient, x, RawAffine(*raw), used, ctx.from_batch, needs_x)
        return *gradients, None, None, None
