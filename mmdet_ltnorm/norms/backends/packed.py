"""An affine map and a batch's moments in three tensors, as operators and kernels return them."""

import torch
from torch import Tensor

from mmdet_ltnorm.norms.backends.interface import Affine, BatchMoments


def packed(used: Affine, moments: BatchMoments | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return copies in three tensors; without moments, the last two are empty."""
    if moments is None:
        nothing = used.scale.new_empty(0)
        return torch.stack(used), nothing, nothing.bool()
    mean, offset, var, count, share, total, seen, enough = moments
    numbers = torch.cat([count[:, 0], share, total[None]])
    flags = torch.cat([seen[:, 0], enough[None]])
    return torch.stack([*used, mean, offset, var]), numbers, flags


def unpacked(matrices: Tensor, numbers: Tensor, flags: Tensor) -> tuple[Affine, BatchMoments]:
    """Return the affine map and the batch's moments, as views.

    Args:
        matrices: (7, M, C), the four of :class:`Affine`, then mean, offset and var of the batch.
        numbers: (2 M + 1,), the counts, the shares and the total.
        flags: (M + 1,), which components were seen, and whether there are enough pixels.
    """
    components = matrices.shape[1]
    count, share, total = numbers.split([components, components, 1])
    seen, enough = flags.split([components, 1])
    moments = (*matrices[4:], count[:, None], share, total[0], seen[:, None], enough[0])
    return Affine(*matrices[:4]), BatchMoments(*moments)
