"""NBN's effective vectors as Triton kernels, for a GPU: one launch forward and one backward.

Torch's operations need ten launches forward and about forty backward, and each launch takes longer
than the arithmetic.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmdet_ltnorm.norms.backends.fusing import differentiable_gradients
from mmdet_ltnorm.norms.backends.gpu.mixture_kernels import narrowed
from mmdet_ltnorm.norms.backends.interface import DIRECTION_FLOOR, RawAffine, Statistics
from mmdet_ltnorm.norms.backends.plain import nbn as plain
from mmdet_ltnorm.norms.backends.plain.nbn import batch_norm_and_statistics, batch_norm_gradient

BLOCK = 1024


def normalized(x: Tensor, raw: RawAffine, statistics: Statistics) -> Tensor:
    """Return torch's batch norm with both vectors rescaled by one kernel."""
    return RescaledBatchNorm.apply(x, *raw, statistics)


def forward(x: Tensor, raw: RawAffine, statistics: Statistics) -> tuple[Tensor, Tensor]:
    """See :meth:`.NormalizedBatchNorm.forward`."""
    return batch_norm_and_statistics(x, rescaled_pair(raw), statistics)


def backward(
    gradient: Tensor, x: Tensor, raw: RawAffine, used: Tensor, from_batch: bool, needs_x: bool
) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor | None]:
    """See :meth:`.NormalizedBatchNorm.backward`."""
    weight, _ = rescaled_pair(raw)
    to_x, *to_pair = batch_norm_gradient(gradient, x, weight, used, from_batch, needs_x)
    return to_x, *rescaled_pair_gradient(raw, to_pair)


class RescaledBatchNorm(torch.autograd.Function):
    """The batch norm that torch chooses, cuDNN's or its own, between two kernels of ours."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *args: Any) -> Tensor:
        *raw, statistics = args
        mean, var, from_batch, momentum, eps = statistics
        weight, bias = rescaled_pair(RawAffine(*raw))
        options = from_batch, momentum, eps, torch.backends.cudnn.enabled
        y, *used, ctx.choice = torch._batch_norm_impl_index(x, weight, bias, mean, var, *options)
        ctx.from_batch, ctx.eps = from_batch, eps
        stored = (None, None) if from_batch else (mean, var)
        ctx.save_for_backward(x, *raw, weight, *stored, *used)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *raw, weight, mean, var, used_mean, used_inverse, reserve = ctx.saved_tensors
        from_batch, eps, needed = ctx.from_batch, ctx.eps, ctx.needs_input_grad[:-1]
        if torch.is_grad_enabled():

            def function(x: Tensor, *raw: Tensor) -> Tensor:
                statistics = Statistics(mean, var, from_batch, 0.0, eps)
                return plain.normalized(x, RawAffine(*raw), statistics)

            return *differentiable_gradients(function, (x, *raw), needed, [gradient]), None
        used = mean, var, used_mean, used_inverse, from_batch, eps
        to_x, *to_pair = torch.ops.aten._batch_norm_impl_index_backward(
            ctx.choice, x, gradient, weight, *used, [needed[0], True, True], reserve
        )
        gradients = rescaled_pair_gradient(RawAffine(*raw), to_pair)
        return to_x if needed[0] else None, *gradients, None, None, None


def rescaled_pair(raw: RawAffine) -> tuple[Tensor, Tensor]:
    """Return the plain :func:`rescaled_pair` of vectors (C,) in one launch."""
    weight, bias, magnitude, bias_magnitude, *gains = raw
    own = magnitude if bias_magnitude is None else bias_magnitude
    outputs = torch.empty_like(weight), torch.empty_like(bias)
    inputs = weight, bias, magnitude, own, *gains, len(weight), DIRECTION_FLOOR
    with torch.cuda.device_of(weight):
        rescale[(2,)](*outputs, *inputs, BLOCK=BLOCK)
    return outputs


def rescaled_pair_gradient(
    raw: RawAffine, gradients: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return the plain :func:`rescaled_pair_gradient` in one launch."""
    weight, bias, magnitude, bias_magnitude, *gains = raw
    own = magnitude if bias_magnitude is None else bias_magnitude
    to_vectors = torch.empty_like(weight), torch.empty_like(bias)
    to_magnitude = torch.empty_like(magnitude)
    to_own = None if bias_magnitude is None else torch.empty_like(own)
    with torch.cuda.device_of(weight):
        rescale_backward[(1,)](
            *to_vectors,
            to_magnitude,
            to_own,
            *(gradient.contiguous() for gradient in gradients),
            weight,
            bias,
            magnitude,
            own,
            *gains,
            len(weight),
            DIRECTION_FLOOR,
            BLOCK=BLOCK,
        )
    return *to_vectors, to_magnitude, to_own


@triton.jit
def rescale(
    weight_out, bias_out, weight, bias, magnitude, bias_magnitude, weight_gain, bias_gain, channels,
    floor: "fp64", BLOCK: tl.constexpr,  # noqa: F821
):  # fmt: skip
    """Write the effective weight in one program, the effective bias in another."""
    if tl.program_id(0) == 0:
        _rescale(weight_out, weight, magnitude, weight_gain, channels, floor, BLOCK)
    else:
        _rescale(bias_out, bias, bias_magnitude, bias_gain, channels, floor, BLOCK)


@triton.jit
def rescale_backward(
    to_weight, to_bias, to_magnitude, to_bias_magnitude, weight_upstream, bias_upstream,
    weight, bias, magnitude, bias_magnitude, weight_gain, bias_gain, channels,
    floor: "fp64", BLOCK: tl.constexpr,  # noqa: F821
):  # fmt: skip
    """Write all gradients in one program; both vectors add to a magnitude that they share."""
    of_weight = _rescale_backward(
        to_weight, weight_upstream, weight, magnitude, weight_gain, channels, floor, BLOCK
    )
    of_bias = _rescale_backward(
        to_bias, bias_upstream, bias, bias_magnitude, bias_gain, channels, floor, BLOCK
    )
    if to_bias_magnitude is None:
        of_weight += of_bias
    else:
        tl.store(to_bias_magnitude, narrowed(of_bias, to_bias_magnitude))
    tl.store(to_magnitude, narrowed(of_weight, to_magnitude))


@triton.jit
def _rescale(output, vector, magnitude, gain, channels, floor, BLOCK: tl.constexpr):
    length = tl.maximum(tl.sqrt(_product(vector, vector, channels, BLOCK)), floor)
    scale = tl.load(magnitude).to(tl.float64) * tl.load(gain).to(tl.float64) / length
    for start in range(0, channels, BLOCK):
        c = start + tl.arange(0, BLOCK)
        v = tl.load(vector + c, mask=c < channels, other=0).to(tl.float64)
        tl.store(output + c, narrowed(scale * v, output), mask=c < channels)


@triton.jit
def _rescale_backward(
    to_vector, upstream, vector, magnitude, gain, channels, floor, BLOCK: tl.constexpr
):
    """Write the vector's gradient and return the magnitude's."""
    square = _product(vector, vector, channels, BLOCK)
    length = tl.sqrt(square)
    unit = tl.load(gain).to(tl.float64) / tl.maximum(length, floor)
    scale = tl.load(magnitude).to(tl.float64) * unit
    along = _product(vector, upstream, channels, BLOCK)
    # Below the floor the scale does not depend on the vector.
    pull = tl.where(length < floor, 0.0, along / tl.maximum(square, floor * floor))
    for start in range(0, channels, BLOCK):
        c = start + tl.arange(0, BLOCK)
        v = tl.load(vector + c, mask=c < channels, other=0).to(tl.float64)
        g = tl.load(upstream + c, mask=c < channels, other=0).to(tl.float64)
        to_v = scale * (g - v * pull)
        tl.store(to_vector + c, narrowed(to_v, to_vector), mask=c < channels)
    return unit * along


@triton.jit
def _product(first, second, channels, BLOCK: tl.constexpr):
    """Return the scalar product of two vectors."""
    total = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, channels, BLOCK):
        c = start + tl.arange(0, BLOCK)
        a = tl.load(first + c, mask=c < channels, other=0).to(tl.float64)
        b = tl.load(second + c, mask=c < channels, other=0).to(tl.float64)
        total += a * b
    return tl.sum(total, axis=0)
