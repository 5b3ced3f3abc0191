"""Sums over the ranks of a distributed run, with their gradient."""

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of all ranks' tensors, or the tensor itself if there is one rank.

    Each rank's result depends on all ranks' tensors, so the gradient is summed over ranks as well.
    All ranks have to call this equally often; works on any backend that reduces, gloo included.
    """
    return _SumOverRanks.apply(tensor) if there_are_other_ranks() else tensor


def there_are_other_ranks() -> bool:
    """Tell whether this is a distributed run of several ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def moments_over_ranks(sums: Tensor, centre: Tensor) -> Tensor:
    """Return the sums of every rank's powers of offsets, S⁰, S¹, S² side by side, (M, 1 + 2C).

    Each rank's sums are of offsets from its own centre (C,), and so is its result. In between they
    are turned into sums of powers of the pixels, in float64.
    """
    if not there_are_other_ranks():
        return sums
    return _moved(sum_over_ranks(_moved(sums, centre)), -centre)


def moments_gradient_over_ranks(
    to_first: Tensor, to_second: Tensor, centre: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the sums of every rank's gradients of S¹ and S², (M, C), of what was summed above.

    That of S⁰ is nobody's: no gradient flows through the responsibilities.
    """
    if not there_are_other_ranks():
        return to_first, to_second
    centre, dtype = centre.double(), to_first.dtype
    moved = torch.stack([to_first - 2 * centre * to_second, to_second.double()])
    to_first, to_second = sum_over_ranks(moved)
    return (to_first + 2 * centre * to_second).to(dtype), to_second.to(dtype)


def _moved(sums: Tensor, by: Tensor) -> Tensor:
    """Return the sums of powers of offsets that are larger by a vector (C,)."""
    zeroth, first, second = sums.split([1, len(by), len(by)], dim=1)
    by = by.double()
    moved = first + by * zeroth
    return torch.cat([zeroth, moved, second + by * (first + moved)], dim=1)


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return sum_over_ranks(gradient)
