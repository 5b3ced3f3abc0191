"""NBN's fused passes as operators, which ``torch.compile`` keeps whole, over the same backends."""

from typing import Any

import torch
from torch import Tensor

from mmdet_ltnorm.norms.backends.chooser import nbn_backend
from mmdet_ltnorm.norms.backends.interface import RawAffine, Statistics
from mmdet_ltnorm.norms.backends.precision import computing_dtype


def normalized(x: Tensor, raw: RawAffine, statistics: Statistics) -> Tensor:
    """Do what :meth:`.NormalizedBatchNorm.normalized` does by an operator."""
    mean, var, from_batch, momentum, eps = statistics
    y, _, moved = nbn_forward(x, *raw, mean, var, from_batch, momentum, eps)
    if from_batch and mean is not None:
        with torch.no_grad():
            mean.copy_(moved[0])
            var.copy_(moved[1])
    return y


@torch.library.custom_op("mmdet_ltnorm::nbn_forward", mutates_args=())
def nbn_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    magnitude: Tensor,
    bias_magnitude: Tensor | None,
    weight_gain: Tensor,
    bias_gain: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    from_batch: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize (B, C, ...).

    Returned are the output, the mean and inverse deviation (2, C) that normalized, and what a batch
    moves the stored statistics to, (2, C), or nothing.
    """
    raw = RawAffine(weight, bias, magnitude, bias_magnitude, weight_gain, bias_gain)
    moved = weight.new_empty(0)
    if from_batch and mean is not None:
        moved = torch.stack([mean, var])
        mean, var = moved
    statistics = Statistics(mean, var, from_batch, momentum, eps)
    return *nbn_backend(x, raw, statistics).forward(x, raw, statistics), moved


@nbn_forward.register_fake
def _(x: Tensor, weight: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    *_, mean, _, from_batch, _, _ = rest
    channels = x.shape[1]
    moved = mean.new_empty(2, channels) if from_batch and mean is not None else weight.new_empty(0)
    return torch.empty_like(x), x.new_empty(2, channels, dtype=computing_dtype(x)), moved


@torch.library.custom_op("mmdet_ltnorm::nbn_backward", mutates_args=())
def nbn_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    magnitude: Tensor,
    bias_magnitude: Tensor | None,
    weight_gain: Tensor,
    bias_gain: Tensor,
    used: Tensor,
    from_batch: bool,
    needs_x: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of x and of the next four arguments, or nothing where none is needed."""
    raw = RawAffine(weight, bias, magnitude, bias_magnitude, weight_gain, bias_gain)
    backend = nbn_backend(x, raw, Statistics(*used, from_batch, 0.0, 0.0))
    to_x, to_weight, to_bias, *others = backend.backward(
        gradient, x, raw, used, from_batch, needs_x
    )
    # Backends may return parts of one tensor, an operator may not.
    to_magnitudes = (x.new_empty(0) if other is None else other.clone() for other in others)
    return x.new_empty(0) if to_x is None else to_x, to_weight, to_bias, *to_magnitudes


@nbn_backward.register_fake
def _(gradient: Tensor, x: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    weight, bias, magnitude, bias_magnitude, *_, needs_x = rest
    to_own = x.new_empty(0) if bias_magnitude is None else torch.empty_like(bias_magnitude)
    to_x = torch.empty_like(x) if needs_x else x.new_empty(0)
    return to_x, *map(torch.empty_like, (weight, bias, magnitude)), to_own


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.from_batch = inputs[9]
    ctx.save_for_backward(*inputs[:7], output[1])
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if gradient is None:
        return (None,) * 12
    needed = ctx.needs_input_grad
    found = nbn_backward(gradient, *ctx.saved_tensors, ctx.from_batch, needed[0])
    gradients = [
        each if is_needed else None for each, is_needed in zip(found, needed, strict=False)
    ]
    return *gradients, *(None,) * 7


nbn_forward.register_autograd(_differentiate, setup_context=_keep)
