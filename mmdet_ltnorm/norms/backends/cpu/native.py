"""The package's C++ code for float32 and bfloat16 on a CPU.

It is built when the package is installed, if there is a compiler, with AVX2 and without; it needs
nothing but C++17 and the OpenMP runtime that torch brings.
"""

import ctypes
import functools
import warnings
import zlib
from importlib.machinery import EXTENSION_SUFFIXES as ENDINGS
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmdet_ltnorm.norms.backends import feature_map

# Torch's names of the instruction sets that run the faster library.
WITH_AVX2 = ("AVX2", "AVX512")
NAMES = ("norms_cpu_avx2", "norms_cpu")
# Each function's arguments: pointers, doubles, floats, bools, ints and long ones. The last of those
# that pass over pixels are samples, channels, pixels and threads, of the others components and
# channels.
ARGUMENTS = {
    **dict.fromkeys(["expectation", "expectation_last"], "pppppfppibllli"),
    **dict.fromkeys(["gradient_sums", "gradient_sums_last"], "pppppibllli"),
    **dict.fromkeys(["mix", "mix_last"], "ppppppppibllli"),
    "log_joint": "ppppdddpppil",
    "affine_of_batch": "ppppppdddbpppil",
    "sums_gradient": "ppppppppddpil",
    "move": "pppppppppppdbbil",
    "nbn_forward": "pppppppdddbppppllli",
    "nbn_backward": "ppppppppdbpppppllli",
}
TYPES = dict(
    p=ctypes.c_void_p,
    d=ctypes.c_double,
    f=ctypes.c_float,
    b=ctypes.c_bool,
    i=ctypes.c_int,
    l=ctypes.c_int64,
)
FOLDER = Path(__file__).parent
SOURCES = FOLDER / "csrc"
# An additional thread is worth its start for this many numbers.
GRAIN = 2**15


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the library for this machine, or None where there is none.

    In a checkout, a library that was built from other sources is not used.
    """
    fast = torch.backends.cpu.get_cpu_capability() in WITH_AVX2
    files = (FOLDER / (name + suffix) for name, suffix in product(NAMES[not fast :], ENDINGS))
    return next(filter(None, map(load, filter(Path.exists, files))), None)


def load(path: Path) -> ctypes.CDLL | None:
    """Return the library of a file, or None if it does not fit this system or the sources."""
    try:
        found = ctypes.CDLL(str(path))
    except OSError:  # built on another system, or torch brings no OpenMP runtime
        return None
    built_from = found.norms_cpu_sources() & 0xFFFFFFFF  # ctypes reads a signed number
    if sources_crc32() not in (None, built_from):
        warnings.warn(
            f"{path.name} was built from other C++ sources than those beside it and is not used: "
            "run `pip install -e .` again, norms are slower without it",
            stacklevel=2,
        )
        return None
    for name, arguments in ARGUMENTS.items():
        getattr(found, name).argtypes = [TYPES[letter] for letter in arguments]
    return found


def sources_crc32() -> int | None:
    """Return a checksum of the C++ sources, as setup.py computes it, or None without them."""
    sources = sorted([*SOURCES.glob("*.cpp"), *SOURCES.glob("*.h")])
    return zlib.crc32(b"".join(source.read_bytes() for source in sources)) if sources else None


def reads(tensor: Tensor) -> bool:
    """Tell whether the C++ code can read a tensor."""
    return tensor.is_cpu and tensor.dtype == torch.float32 and tensor.is_contiguous()


def takes_dense(x: Tensor) -> bool:
    """Tell whether the C++ code is there, and takes a dense x (B, C, ...) in its type."""
    wanted = x.is_cpu and x.dtype in (torch.float32, torch.bfloat16)
    return wanted and x.numel() > 0 and library() is not None


def takes(x: Tensor) -> bool:
    """Tell whether there is a library, and x is float32 with adjacent pixels."""
    if not reads(x) or x.numel() == 0 or library() is None:
        return False
    return not feature_map.channels_are_last(x)


def _sizes(x: Tensor) -> tuple[int, int, int]:
    """Return samples, channels and pixels of each; where the channels are adjacent, of all."""
    samples, channels = x.shape[:2]
    if feature_map.channels_are_last(x):
        samples = 1
    return samples, channels, x.numel() // (samples * channels)


def call_over(x: Tensor, name: str, *args: Any) -> None:
    """Call a function that passes over the pixels of x (B, C, ...); see :func:`call`."""
    call(name, x, *args, *_sizes(x), threads(x))


def threads(x: Tensor) -> int:
    """Return how many threads pass over the pixels of x."""
    return max(1, min(torch.get_num_threads(), x.numel() // GRAIN))


def call(name: str, *args: Any) -> None:
    """Call a function of the library, with the addresses of contiguous tensors."""
    addresses = [arg.data_ptr() if isinstance(arg, Tensor) else arg for arg in args]
    getattr(library(), name)(*addresses)
