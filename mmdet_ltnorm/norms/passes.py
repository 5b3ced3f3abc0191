"""Which code passes over the pixels of a feature map: Triton kernels or matrix products."""

import functools
from types import ModuleType

from torch import Tensor

from mmdet_ltnorm.norms import pixels

# The first that takes a tuple as a kernel's argument.
OLDEST_TRITON = (3, 3)
# Kernels unroll the components.
MOST_COMPONENTS = 8


def passes_over(x: Tensor, components: int) -> ModuleType:
    """Return :mod:`~mmdet_ltnorm.norms.triton_cbn` for a GPU's tensor if Triton is there.

    Else :mod:`~mmdet_ltnorm.norms.pixels`, whose functions are the same.
    """
    if x.is_cuda and x.numel() and components <= MOST_COMPONENTS:
        return _kernels() or pixels
    return pixels


@functools.cache
def _kernels() -> ModuleType | None:
    """Return the module with the kernels, or None without a Triton that can compile them."""
    try:
        import triton
    except ImportError:
        return None
    if tuple(map(int, triton.__version__.split(".")[:2])) < OLDEST_TRITON:
        return None
    from mmdet_ltnorm.norms import triton_cbn

    return triton_cbn
