"""Which code passes over the pixels of a feature map: Triton, C++ or matrix products."""

from types import ModuleType

from torch import Tensor

from mmdet_ltnorm.norms import native, native_cbn, native_tables, pixels, tables
from mmdet_ltnorm.norms.fusing import has_triton


def passes_over(x: Tensor, components: int) -> ModuleType:
    """Return the module with the fastest passes over a dense tensor; they all have the same.

    :mod:`~mmdet_ltnorm.norms.triton_cbn` for a GPU's tensor if Triton is there,
    :mod:`~mmdet_ltnorm.norms.native_cbn` for a CPU's if its library is there and takes the tensor,
    else :mod:`~mmdet_ltnorm.norms.pixels`.
    """
    if x.numel() == 0 or components > native_cbn.MOST_COMPONENTS:
        return pixels
    if not x.is_cuda:
        return native_cbn if native.takes(x) else pixels
    if not has_triton():
        return pixels
    from mmdet_ltnorm.norms import triton_cbn

    return triton_cbn


def tables_beside(passes: ModuleType, *parameters: Tensor) -> ModuleType:
    """Return the module with the arithmetic on tables that goes with passes over pixels.

    A launch or call for each function on a GPU, :mod:`~mmdet_ltnorm.norms.triton_tables`, and
    beside the C++ passes for parameters and statistics that C++ can read,
    :mod:`~mmdet_ltnorm.norms.native_tables`, else :mod:`~mmdet_ltnorm.norms.tables`.
    """
    if passes is native_cbn and all(map(native.reads, parameters)):
        return native_tables
    if passes in (pixels, native_cbn):
        return tables
    from mmdet_ltnorm.norms import triton_tables

    return triton_tables
