"""Whether Triton can run the kernels on this machine."""

import functools
import warnings

import torch

# The first version that takes a tuple as a kernel's argument.
OLDEST_TRITON = (3, 3)


@functools.cache
def has_triton() -> bool:
    """Tell whether Triton can run our kernels; warn where it is installed but cannot.

    Triton compiles with the system's C compiler, which many container images lack.
    """
    try:
        import triton
    except ImportError:
        return False
    if tuple(map(int, triton.__version__.split(".")[:2])) < OLDEST_TRITON:
        return False
    if not torch.cuda.is_available():
        return True
    from mmdet_ltnorm.norms.backends.gpu import probe

    try:
        probe.launch()
    except Exception as error:  # a compiler's or a driver's
        warnings.warn(
            f"Triton {triton.__version__} cannot run kernels here ({type(error).__name__}: "
            f"{error}): the norms do without it and are slower",
            stacklevel=2,
        )
        return False
    return True
