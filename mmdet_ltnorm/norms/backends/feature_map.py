"""The memory format of feature maps (B, C, ...), and values that are read from some pixels."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.norms.backends.precision import computing_dtype


def dense(x: Tensor) -> Tensor:
    """Return the tensor itself if it is contiguous or channels-last, else a contiguous copy."""
    return x if x.movedim(1, -1).is_contiguous() else x.contiguous()


def like(tensor: Tensor, x: Tensor) -> Tensor:
    """Return the tensor in the memory format of a dense one of the same shape."""
    return tensor if tensor.stride() == x.stride() else torch.empty_like(x).copy_(tensor)


def as_matrices(x: Tensor) -> Tensor:
    """View a dense tensor (B, C, ...) as matrices of pixels, (B, C, P).

    Where the channels are adjacent in memory it is one matrix of all pixels, (1, C, P).
    """
    rows = x.movedim(1, -1)
    if rows.is_contiguous():
        return rows.view(-1, x.shape[1]).mT[None]
    return x.flatten(2)


def centre(x: Tensor) -> Tensor:
    """Return a point among the pixels, (C,): the mean of the middle pixels of some samples.

    It has the dtype that the passes compute in, so that all of them use the same point.
    """
    dtype = computing_dtype(x)
    if x.numel() == 0:
        return x.new_zeros(x.shape[1], dtype=dtype)
    middle = (slice(4), slice(None), *(size // 2 for size in x.shape[2:]))
    return x.detach()[middle].to(dtype).mean(0)


def one_hot(x: Tensor, groups: Tensor, components: int, dtype: torch.dtype) -> Tensor:
    """Return the responsibilities (B, M, P) of pixels that belong to their sample's group."""
    samples, _, pixels = as_matrices(x).shape
    rows = F.one_hot(groups.to(x.device), components).to(dtype)
    rows = rows.repeat_interleave(x[0, 0].numel() if len(x) else 0, dim=0)
    return rows.view(samples, pixels, components).mT.contiguous()


def some_pixels(weights: Tensor) -> Tensor:
    """Return the responsibilities of about 4096 evenly spaced pixels, or of all, (fewer, M)."""
    samples, _, pixels = weights.shape
    if samples * pixels >= 4096:
        weights = weights[:: samples // 4096 + 1, :, :: samples * pixels // 4096 + 1]
    return weights.mT.flatten(0, 1)
