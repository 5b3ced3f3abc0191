"""The choice of an implementation, once in each forward pass, which its backward pass keeps."""

from torch import Tensor

from mmdet_ltnorm.norms.backends.composed import Composed
from mmdet_ltnorm.norms.backends.cpu import components as cpu_components
from mmdet_ltnorm.norms.backends.cpu import native
from mmdet_ltnorm.norms.backends.cpu import nbn as cpu_nbn
from mmdet_ltnorm.norms.backends.cpu import pixels as cpu_pixels
from mmdet_ltnorm.norms.backends.gpu.availability import has_triton
from mmdet_ltnorm.norms.backends.interface import (
    Mixture,
    NormalizedBatchNorm,
    RawAffine,
    Statistics,
)
from mmdet_ltnorm.norms.backends.plain import components as plain_components
from mmdet_ltnorm.norms.backends.plain import nbn as plain_nbn
from mmdet_ltnorm.norms.backends.plain import pixels as plain_pixels

# Compiled kernels, in C++ and in Triton, have unrolled loops up to this number.
MOST_COMPONENTS = 8


def mixture_backend(x: Tensor, *statistics: Tensor) -> Mixture:
    """Return the implementation for a dense input and parameters and statistics (M, C), (M,).

    C++ takes float32 and bfloat16, and Triton a GPU's tensors where parameters and statistics are
    contiguous. If they are not float32, torch does their arithmetic beside C++'s passes.
    """
    plain = Composed(plain_pixels, plain_components)
    if x.numel() == 0 or len(statistics[0]) > MOST_COMPONENTS:
        return plain
    if x.is_cuda:
        if not has_triton() or not all(each.is_contiguous() for each in statistics):
            return plain
        from mmdet_ltnorm.norms.backends.gpu import mixture

        return mixture
    if not native.takes_dense(x):
        return plain
    fast = all(map(native.reads, statistics))
    return Composed(cpu_pixels, cpu_components if fast else plain_components)


def nbn_backend(x: Tensor, raw: RawAffine, statistics: Statistics) -> NormalizedBatchNorm:
    """Return the implementation for an input (B, C, ...), NBN's vectors and stored statistics.

    C++ takes float32 images whose pixels are adjacent, Triton dense vectors on one GPU.
    """
    tensors = (*raw, statistics.mean, statistics.var)
    if native.takes(x) and all(t is None or native.reads(t) for t in tensors):
        return cpu_nbn
    dense = raw.weight.is_contiguous() and raw.bias.is_contiguous()
    on_one_gpu = raw.weight.is_cuda and raw.weight.device == raw.magnitude.device
    if dense and on_one_gpu and has_triton():
        from mmdet_ltnorm.norms.backends.gpu import nbn

        return nbn
    return plain_nbn
