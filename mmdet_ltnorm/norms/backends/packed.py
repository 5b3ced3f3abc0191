"""How compiled code returns the results of ``affine_of_batch``: in three tensors."""

from torch import Tensor

from mmdet_ltnorm.norms.backends.interface import Affine, BatchMoments


def unpacked(matrices: Tensor, numbers: Tensor, flags: Tensor) -> tuple[Affine, BatchMoments]:
    """Return what normalizes a batch, and the batch's moments, as views.

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
