"""The memory format of feature maps (B, C, ...), and values that are read from some pixels."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.norms.backends.precision import computing_dtype

# By the number of dimensions; to ask for these takes no view.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def dense(x: Tensor) -> Tensor:
    """Return the tensor itself if it is contiguous or channels-last, else a contiguous copy."""
    return x if x.is_contiguous() or channels_are_last(x) else x.contiguous()


def channels_are_last(x: Tensor) -> bool:
    """Tell whether a pixel's channels are adjacent in memory, and pixels follow one another."""
    if x.dim() in CHANNELS_LAST:
        return x.is_contiguous(memory_format=CHANNELS_LAST[x.dim()])
    return x.movedim(1, -1).is_contiguous()


def like(tensor: Tensor, x: Tensor) -> Tensor:
    """Return the tensor in the memory format of a dense one of the same shape."""
    return tensor if tensor.stride() == x.stride() else torch.empty_like(x).copy_(tensor)


def as_matrices(x: Tensor) -> Tensor:
    """View a dense tensor (B, C, ...) as matrices of pixels, (B, C, P).

    Where the channels are adjacent in memory it is one matrix of all pixels, (1, C, P).
    """
    if channels_are_last(x):
        return x.movedim(1, -1).view(-1, x.shape[1]).mT[None]
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


def keep_some_pixels(sample: Tensor, weights: Tensor) -> None:
    """Write the responsibilities of evenly spaced pixels, or of all, and a row of -1 after them."""
    samples, _, pixels = weights.shape
    if samples * pixels >= len(sample):
        step = samples * pixels // len(sample) + 1
        weights = weights[:: samples // len(sample) + 1, :, ::step]
    rows = weights.mT.flatten(0, 1)[: len(sample)]
    sample[: len(rows)] = rows
    if len(rows) < len(sample):
        sample[len(rows)].fill_(-1)
