"""CBN's work as operators, which ``torch.compile`` keeps whole, over the same backends.

They take flat arguments: those of :class:`~mmdet_ltnorm.norms.backends.interface.Rule`, and of a
layer's parameters and stored statistics. Eager layers call the functions behind them: a call of an
operator takes longer than the numbers of a small layer.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from mmdet_ltnorm.norms.backends import feature_map
from mmdet_ltnorm.norms.backends.chooser import mixture_backend
from mmdet_ltnorm.norms.backends.interface import Components, Learning, MixtureTables, Pass, Rule
from mmdet_ltnorm.norms.backends.precision import computing_dtype
from mmdet_ltnorm.norms.components import place
from mmdet_ltnorm.norms.recomputation import TrainingPass, TrainingPasses, recomputing

# Each layer's passes, which checkpointing repeats after the stored statistics have moved, by a
# tensor of the layer's that never moves.
_passes = WeakTensorKeyDictionary()


@torch.library.custom_op("mmdet_ltnorm::cbn_forward", mutates_args=())
def cbn_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    prior: Tensor,
    groups: Tensor | None,
    fresh_mean: Tensor,
    eps: float,
    temperature: float,
    shrinkage: float,
    kept: float,
    training: bool,
    fresh: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Normalize a dense input (B, C, ...).

    A layer that may be fresh is compared with the means of a fresh one, and placed. Returned are
    the output, the statistics that the pass has started from, flat, and what it leaves.
    """
    rule, stored = Rule(eps, temperature, shrinkage, kept, training), Components(mean, var, prior)
    nothing = mean.new_empty(0)
    start = _start(stored, x, groups, fresh_mean, fresh) if training else nothing
    if training:
        stored = Components.of_flat(start, len(mean))
    backend = mixture_backend(x, weight, bias, *stored)
    y, of = backend.forward(x, weight, bias, stored, groups, rule, None)
    matrices, *numbers_and_flags = of.tables
    if not training:
        numbers_and_flags = matrices.new_empty(0), matrices.new_empty(0, dtype=torch.bool)
    return y, start, of.responsibilities, of.centre, matrices, *numbers_and_flags


def _start(
    running: Components, x: Tensor, groups: Tensor | None, fresh_mean: Tensor, fresh: bool
) -> Tensor:
    """Return copies of the statistics that a pass starts from, or of the pass it repeats, flat."""
    passes, centre = _passes.setdefault(fresh_mean, TrainingPasses()), feature_map.centre(x)
    if recomputing():
        start, split = passes.take(x.shape, centre)
        if (split is None) != (groups is None):
            raise RuntimeError(
                "gradient checkpointing repeats a compiled pass outside of the split_by that it "
                "ran in: compile the call of checkpoint, too"
            )
        return start.clone()
    start = running.flat()
    if fresh:
        mean, var, _ = Components.of_flat(start, len(fresh_mean))
        place(mean, var, fresh_mean, x)
    passes.add(TrainingPass(x.shape, centre, start, groups))
    return start


@cbn_forward.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    prior: Tensor,
    groups: Tensor | None,
    fresh_mean: Tensor,
    eps: float,
    temperature: float,
    shrinkage: float,
    kept: float,
    training: bool,
    fresh: bool,
) -> tuple[Tensor, ...]:
    samples, _, pixels = feature_map.as_matrices(x).shape
    components, channels = weight.shape
    wide = x.new_empty(0, dtype=computing_dtype(x))
    flags = components + 1 if training else 0
    return (
        torch.empty_like(x),
        mean.new_empty((2 * channels + 1) * components if training else 0),
        wide.new_empty(samples, components, pixels),
        wide.new_empty(channels),
        wide.new_empty(7 if training else 4, components, channels),
        wide.new_empty(2 * components + 1 if training else 0),
        wide.new_empty(flags, dtype=torch.bool),
    )


@torch.library.custom_op("mmdet_ltnorm::cbn_backward", mutates_args=())
def cbn_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    responsibilities: Tensor,
    centre: Tensor,
    matrices: Tensor,
    numbers: Tensor,
    flags: Tensor,
    eps: float,
    temperature: float,
    shrinkage: float,
    kept: float,
    training: bool,
    needs_x: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of x, or nothing if it needs none, and of weight and bias."""
    rule = Rule(eps, temperature, shrinkage, kept, training)
    of = Pass(responsibilities, centre, MixtureTables(matrices, numbers, flags), None)
    backend = mixture_backend(x, weight, matrices)
    to_x, to_weight, to_bias = backend.backward(gradient, x, weight, of, rule, needs_x)
    # Backends may return parts of one tensor, an operator may not.
    return x.new_empty(0) if to_x is None else to_x, to_weight.clone(), to_bias.clone()


@cbn_backward.register_fake
def _(gradient: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    to_x = torch.empty_like(x) if rest[-1] else x.new_empty(0)
    shape = weight.shape
    return to_x, weight.new_empty(shape), weight.new_empty(shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, *_ = inputs
    ctx.rule = inputs[-6:-1]
    ctx.save_for_backward(x, weight, *output[2:])
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if gradient is None:
        return (None,) * 14
    needs_x = ctx.needs_input_grad[0]
    to_x, *others = cbn_backward(gradient, *ctx.saved_tensors, *ctx.rule, needs_x)
    return to_x if needs_x else None, *others, *(None,) * 11


cbn_forward.register_autograd(_differentiate, setup_context=_keep)


@torch.library.custom_op(
    "mmdet_ltnorm::cbn_learn",
    mutates_args=("mean", "var", "prior", "batches", "not_finite", "sample"),
)
def cbn_learn(
    mean: Tensor,
    var: Tensor,
    prior: Tensor,
    batches: Tensor,
    not_finite: Tensor,
    sample: Tensor,
    x: Tensor,
    start: Tensor,
    responsibilities: Tensor,
    centre: Tensor,
    matrices: Tensor,
    numbers: Tensor,
    flags: Tensor,
    rate: float,
    unbiased: bool,
    split: bool,
    fresh: bool,
) -> None:
    """Let the batch of :func:`cbn_forward` move the stored statistics, once."""
    if recomputing():
        return
    stored = Components(mean, var, prior)
    if fresh:
        mean_before, var_before, _ = Components.of_flat(start, len(mean))
        mean.copy_(mean_before)
        var.copy_(var_before)
    learning = Learning(rate, unbiased, batches, not_finite, sample)
    of = Pass(responsibilities, centre, MixtureTables(matrices, numbers, flags), None)
    mixture_backend(x, *stored).learn(stored, of, learning, split)
