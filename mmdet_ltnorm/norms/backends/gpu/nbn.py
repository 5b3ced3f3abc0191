"""NBN's effective vectors as Triton kernels, for a GPU: one launch forward and one backward.

Torch's operations need ten launches forward and about forty backward, and each launch takes longer
than the arithmetic.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from mmdet_ltnorm.norms.backends.fusing import differentiable_gradients
from mmdet_ltnorm.norms.backends.gpu.mixture_kernels import narrowed
from mmdet_ltnorm.norms.backends.interface import DIRECTION_FLOOR, RawAffine, Statistics
from mmdet_ltnorm.norms.backends.plain.nbn import batch_norm, rescaled_pair

BLOCK = 1024


def normalized(x: Tensor, raw: RawAffine, statistics: Statistics) -> Tensor:
    """Return torch's batch norm with both vectors rescaled by one kernel."""
    return batch_norm(x, RescaledPair.apply(*raw), statistics)


class RescaledPair(torch.autograd.Function):
    """The plain :func:`rescaled_pair` in one launch, with the same arguments; vectors are (C,).
    :mod:`mmdet_ltnorm.norms.backends.cpu.nbn` has the formulas of its gradients.
    """

    @staticmethod
    def forward(ctx: Any, *raw: Tensor | None) -> tuple[Tensor, Tensor]:
        weight, bias, magnitude, bias_magnitude, *gains = raw
        own = magnitude if bias_magnitude is None else bias_magnitude
        outputs = torch.empty_like(weight), torch.empty_like(bias)
        inputs = weight, bias, magnitude, own, *gains, len(weight), DIRECTION_FLOOR
        with torch.cuda.device_of(weight):
            rescale[(2,)](*outputs, *inputs, BLOCK=BLOCK)
        ctx.save_for_backward(*raw)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        raw = weight, bias, magnitude, bias_magnitude, *gains = ctx.saved_tensors
        if torch.is_grad_enabled():
            return differentiable_gradients(rescaled_pair, raw, ctx.needs_input_grad, gradients)
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
        return *to_vectors, to_magnitude, to_own, None, None


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
