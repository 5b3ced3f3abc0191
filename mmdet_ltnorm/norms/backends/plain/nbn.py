"""NBN in torch's operations."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.norms.backends.interface import DIRECTION_FLOOR, RawAffine, Statistics
from mmdet_ltnorm.norms.backends.precision import widened


def normalized(x: Tensor, raw: RawAffine, statistics: Statistics) -> Tensor:
    """Return torch's batch norm with both vectors :func:`rescaled`."""
    return batch_norm(x, rescaled_pair(*raw), statistics)


def batch_norm(x: Tensor, affine: tuple[Tensor, Tensor], statistics: Statistics) -> Tensor:
    """Return torch's batch norm of x with these affine vectors."""
    mean, var, from_batch, momentum, eps = statistics
    return F.batch_norm(x, mean, var, *affine, from_batch, momentum, eps)


def rescaled(vector: Tensor, magnitude: Tensor, gain: Tensor) -> Tensor:
    r"""Give a vector another length: :math:`g\,c\,v / \max(\|v\|, 10^{-2})`.

    Exactly :math:`g\,c\,v/\|v\|` (NBN paper, Eq. 2) down to a length of 0.01; finite and with
    finite gradients at zero.

    Args:
        vector: v, shape (..., C); each row is a vector of its own.
        magnitude: g, a scalar.
        gain: c, shape (...), without gradient.
    """
    wide = widened(vector)
    length = torch.linalg.vector_norm(wide, dim=-1).clamp_min(DIRECTION_FLOOR)
    scale = magnitude * gain / length
    # Vectors are so short that every operation costs the same, views and their gradients too.
    if scale.dim():
        scale = scale.unsqueeze(-1)
    product = wide * scale
    return product if wide is vector else product.to(vector.dtype)


def rescaled_pair(
    weight: Tensor,
    bias: Tensor,
    magnitude: Tensor,
    bias_magnitude: Tensor | None,
    weight_gain: Tensor,
    bias_gain: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return both vectors :func:`rescaled`; without a magnitude of its own the bias takes g."""
    own = magnitude if bias_magnitude is None else bias_magnitude
    return rescaled(weight, magnitude, weight_gain), rescaled(bias, own, bias_gain)


def official_unit_vector(vector: Tensor) -> Tensor:
    r"""Scale a vector as the NBN authors' code does: :math:`v / (\|v\| + 10^{-6})`."""
    return vector / (torch.linalg.vector_norm(vector) + 1e-6)
