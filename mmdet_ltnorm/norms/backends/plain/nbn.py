"""NBN in torch's operations."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.norms.backends.interface import DIRECTION_FLOOR, RawAffine, Statistics
from mmdet_ltnorm.norms.backends.precision import computing_dtype, widened


def normalized(x: Tensor, raw: RawAffine, statistics: Statistics) -> Tensor:
    """Return torch's batch norm with both vectors :func:`rescaled`."""
    return batch_norm(x, rescaled_pair(*raw), statistics)


def forward(x: Tensor, raw: RawAffine, statistics: Statistics) -> tuple[Tensor, Tensor]:
    """See :meth:`.NormalizedBatchNorm.forward`."""
    return batch_norm_and_statistics(x, rescaled_pair(*raw), statistics)


def backward(
    gradient: Tensor, x: Tensor, raw: RawAffine, used: Tensor, from_batch: bool, needs_x: bool
) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor | None]:
    """See :meth:`.NormalizedBatchNorm.backward`."""
    weight, _ = rescaled_pair(*raw)
    to_x, *to_pair = batch_norm_gradient(gradient, x, weight, used, from_batch, needs_x)
    return to_x, *rescaled_pair_gradient(raw, to_pair)


def batch_norm_and_statistics(
    x: Tensor, affine: tuple[Tensor, Tensor], statistics: Statistics
) -> tuple[Tensor, Tensor]:
    """Return torch's batch norm of x, and the mean and inverse deviation (2, C) that normalized."""
    mean, var, from_batch, momentum, eps = statistics
    y, *used = torch.native_batch_norm(x, *affine, mean, var, from_batch, momentum, eps)
    if not from_batch:
        used = mean, (var + eps).rsqrt()
    return y, torch.stack(used).to(computing_dtype(x))


def batch_norm_gradient(
    gradient: Tensor, x: Tensor, weight: Tensor, used: Tensor, from_batch: bool, needs_x: bool
) -> tuple[Tensor | None, Tensor, Tensor]:
    """Return the gradients of x and of the affine vectors in torch's batch norm."""
    mean, inverse = used
    stored = (None, None) if from_batch else (mean, inverse**-2)
    return torch.ops.aten.native_batch_norm_backward(
        gradient, x, weight, *stored, mean, inverse, from_batch, 0.0, [needs_x, True, True]
    )


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


def rescaled_pair_gradient(
    raw: RawAffine, gradients: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return the gradients of both vectors and magnitudes from those of the rescaled vectors.

    :mod:`mmdet_ltnorm.norms.backends.cpu.nbn` has the formulas.
    """
    weight, bias, magnitude, bias_magnitude, *gains = raw
    own = magnitude if bias_magnitude is None else bias_magnitude
    to_vectors, to_magnitudes = [], []
    for v, g, gain, gradient in zip(
        (weight, bias), (magnitude, own), gains, gradients, strict=True
    ):
        wide, gradient = widened(v), widened(gradient)
        length, along = torch.linalg.vector_norm(wide), torch.dot(wide, gradient)
        unit = gain / length.clamp_min(DIRECTION_FLOOR)
        pull = torch.where(length < DIRECTION_FLOOR, 0, along / length.square())
        to_vectors.append((g * unit * (gradient - wide * pull)).to(v.dtype))
        to_magnitudes.append((unit * along).to(g.dtype))
    if bias_magnitude is None:
        return *to_vectors, sum(to_magnitudes), None
    return *to_vectors, *to_magnitudes


def official_unit_vector(vector: Tensor) -> Tensor:
    r"""Scale a vector as the NBN authors' code does: :math:`v / (\|v\| + 10^{-6})`."""
    return vector / (torch.linalg.vector_norm(vector) + 1e-6)
