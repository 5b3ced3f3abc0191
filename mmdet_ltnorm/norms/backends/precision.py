"""The precision that the norms compute in: float32, or the argument's own where it is wider."""

import torch
from torch import Tensor


def computing_dtype(x: Tensor) -> torch.dtype:
    """Return the type that a tensor's numbers are widened to before they are computed with."""
    return torch.promote_types(x.dtype, torch.float32)


def widened(tensor: Tensor) -> Tensor:
    """Return the tensor in float32, or as it is where it is wider."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor
