"""When an autograd function of ours may do at once what is many operations of torch."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


def may_fuse(*tensors: Tensor | None) -> bool:
    """Tell whether nobody has to see torch's operations: compilers, tracers, other derivatives."""
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
    """Return the gradients of a function of torch's operations; they can be differentiated again.

    For the backward pass of a fused function where ``create_graph=True`` enables gradients in it.

    Args:
        inputs: those that the fused function saved.
        needed: which of the inputs need a gradient; others get None.
        gradients: those of the outputs.
    """
    wanted = [tensor for tensor, is_needed in zip(inputs, needed, strict=True) if is_needed]
    found = torch.autograd.grad(function(*inputs), wanted, gradients, create_graph=True)
    left = iter(found)
    return tuple(next(left) if is_needed else None for is_needed in needed)
