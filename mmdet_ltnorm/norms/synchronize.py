"""Sums over the ranks of a distributed run, with their gradient."""

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of every rank's tensor, or the tensor itself where there is one rank.

    Each rank's result depends on all ranks' tensors, so the gradient is summed over ranks as well.
    All ranks have to call this equally often; works on any backend that reduces, gloo included.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return tensor
    return _SumOverRanks.apply(tensor)


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return sum_over_ranks(gradient)
