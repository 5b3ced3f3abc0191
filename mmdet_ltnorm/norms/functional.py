"""Pure maths of the norms: float32 or better inside, the argument's dtype back."""

from typing import NamedTuple

import torch
from torch import Tensor

# Below this length a vector has no direction worth learning: the map v -> v / max(|v|, floor) is
# linear there, so a zero vector gets a gradient of ordinary size. At 1e-6, as in the NBN authors'
# code, the first gradient is a million times too large and freezes the direction for the run.
DIRECTION_FLOOR = 1e-2


class RawAffine(NamedTuple):
    """The vectors and lengths that :func:`rescaled_pair` takes."""

    weight: Tensor
    bias: Tensor
    magnitude: Tensor
    bias_magnitude: Tensor | None
    weight_gain: Tensor
    bias_gain: Tensor


def widened(tensor: Tensor) -> Tensor:
    """Return the tensor in float32, or as it is where it is wider."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


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
    """Return both vectors :func:`rescaled`, the bias by the same magnitude if it has none."""
    own = magnitude if bias_magnitude is None else bias_magnitude
    return rescaled(weight, magnitude, weight_gain), rescaled(bias, own, bias_gain)


def official_unit_vector(vector: Tensor) -> Tensor:
    r"""Scale a vector as the NBN authors' code does: :math:`v / (\|v\| + 10^{-6})`."""
    return vector / (torch.linalg.vector_norm(vector) + 1e-6)
