"""The passes of :mod:`mmdet_ltnorm.norms.pixels` in C++, for float32 on a CPU.

They read and write a feature map as often as batch norm does. The library is built when the package
is installed, if there is a compiler, with AVX2 and without; it needs nothing but C++17 and the
OpenMP runtime that torch brings.
"""

import ctypes
import functools
from importlib.machinery import EXTENSION_SUFFIXES
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmdet_ltnorm.norms import pixels
from mmdet_ltnorm.norms.pixels import (
    SMALLEST_RESPONSIBILITY,
    about_zero,
    logit_gradient,
    one_hot,
)

__all__ = ["expectation", "gradient_sums", "input_gradient", "logit_gradient", "mixed_affine"]

# Torch's names of the instruction sets that run the faster library.
WITH_AVX2 = ("AVX2", "AVX512")
# Compiled kernels, here and on a GPU, unroll up to so many.
MOST_COMPONENTS = 8
NAMES = ("cbn_cpu_avx2", "cbn_cpu")
FUNCTIONS = ("expectation", "gradient_sums", "mix")
FUNCTIONS += ("log_joint", "affine_of_batch", "sums_gradient", "move")
# So many numbers are worth another thread.
GRAIN = 2**15


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the library for this machine, or None where none is whole and can be loaded."""
    fast = torch.backends.cpu.get_cpu_capability() in WITH_AVX2
    for name, suffix in product(NAMES[not fast :], EXTENSION_SUFFIXES):
        path = Path(__file__).with_name(name + suffix)
        if path.exists():
            try:
                found = ctypes.CDLL(str(path))
            except OSError:  # built on another system, or torch brings no OpenMP runtime
                continue
            if all(hasattr(found, function) for function in FUNCTIONS):  # else an older one
                return found
    return None


def expectation(
    x: Tensor,
    joint: tuple[Tensor, Tensor, Tensor],
    centre: Tensor,
    groups: Tensor | None,
    summed: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """See :func:`mmdet_ltnorm.norms.pixels.expectation`."""
    const, linear, square = joint
    components, threads = len(const), _threads(x)
    if groups is None:
        weights = x.new_empty(len(x), components, x[0, 0].numel())
        # The kernel's powers are those of x - centre.
        const = (const[:, 0] + linear.double() @ centre).to(x.dtype)
    else:
        weights, const = one_hot(x, groups, components, x.dtype), None
    zeroth = sums = None
    if summed:
        zeroth = centre.new_zeros(threads, components)
        sums = centre.new_zeros(threads, len(centre), 2, components)
    tables = (const, *_tables(linear, square), centre.to(x.dtype))
    least = ctypes.c_float(SMALLEST_RESPONSIBILITY)
    _call("expectation", x, *tables, least, weights, zeroth, sums, components=components)
    if not summed:
        return weights, None
    zeroth, (first, second) = zeroth.sum(0)[:, None], sums.sum(0).permute(1, 2, 0)
    first = torch.addcmul(first, centre, zeroth)
    return weights, about_zero(torch.cat([zeroth, first, second], dim=1), centre)


def mixed_affine(x: Tensor, weights: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """See :func:`mmdet_ltnorm.norms.pixels.mixed_affine`."""
    y = torch.empty_like(x)
    tables = (None, *_tables(shift, scale))
    _call("mix", x, None, weights, *tables, y, components=len(scale))
    return y


def gradient_sums(x: Tensor, gradient: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """See :func:`mmdet_ltnorm.norms.pixels.gradient_sums`."""
    components = weights.shape[1]
    sums = x.new_zeros(_threads(x), x.shape[1], 2, components, dtype=torch.float64)
    _call("gradient_sums", x, gradient, weights, sums, components=components)
    plain, weighted = sums.sum(0).permute(1, 2, 0).to(x.dtype).contiguous()
    return plain, weighted


def input_gradient(
    x: Tensor, gradient: Tensor, weights: Tensor, scale: Tensor, first: Tensor, second: Tensor
) -> Tensor:
    """See :func:`mmdet_ltnorm.norms.pixels.input_gradient`."""
    if len(scale) > MOST_COMPONENTS:  # with those of the logits, twice as many
        return pixels.input_gradient(x, gradient, weights, scale, first, second)
    to_x = torch.empty_like(x)
    tables = _tables(scale, first, 2 * second)
    _call("mix", x, gradient, weights, *tables, to_x, components=len(scale))
    return to_x


def _tables(*coefficients: Tensor) -> tuple[Tensor, ...]:
    """Return coefficients (M, C) as the kernels read them, (C, M)."""
    return tuple(table.t().contiguous() for table in coefficients)


def _threads(x: Tensor) -> int:
    return max(1, min(torch.get_num_threads(), x.numel() // GRAIN))


def _call(name: str, x: Tensor, *args: Any, components: int) -> None:
    """Call a pass over the pixels of x."""
    sizes = (ctypes.c_int64 * 3)(len(x), x.shape[1], x[0, 0].numel())
    call(name, x, *args, sizes, ctypes.c_int(components), ctypes.c_int(_threads(x)))


def call(name: str, *args: Any) -> None:
    """Call a function of the library, with the addresses of contiguous tensors."""
    getattr(library(), name)(*map(_as_c, args))


def _as_c(value: Any) -> Any:
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    if isinstance(value, bool):
        return ctypes.c_bool(value)
    return ctypes.c_double(value) if isinstance(value, float) else value
