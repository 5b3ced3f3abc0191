"""When one autograd function of ours may replace many operations of torch."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


def may_fuse(*tensors: Tensor | None) -> bool:
    """Tell whether no compiler, tracer or other derivative has to see torch's operations."""
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
        and all(t is None or type(t) in (Tensor, nn.Parameter) for t in tensors)
    )


def differentiable_gradients(
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Sequence[Tensor | None],
    needed: Sequence[bool],
    gradients: Sequence[Tensor],
) -> tuple[Tensor | None, ...]:
    """Return a function's gradients by torch's operations, so that they can be differentiated.

    A fused function's backward pass calls it where ``create_graph=True`` enables gradients there.

    Args:
        function: the same function as the fused one, made of torch's operations.
        inputs: the tensors that the fused function saved.
        needed: which of the inputs need a gradient; others get None.
        gradients: the gradients of the outputs.
    """
    wanted = [tensor for tensor, is_needed in zip(inputs, needed, strict=True) if is_needed]
    found = torch.autograd.grad(function(*inputs), wanted, gradients, create_graph=True)
    left = iter(found)
    return tuple(next(left) if is_needed else None for is_needed in needed)
