"""Triton kernels without a GPU: interpreted, or compiled for an absent GPU.

Triton decides at its import whether to interpret, so kernels are interpreted in another process.
"""

import os
import sys
from contextlib import contextmanager
from unittest.mock import patch

import torch
from ranks import METHOD

import mmdet_ltnorm.norms


def interpreted_results(function, folder):
    """Run function(path) of a test module with interpreted kernels, and return what it saves."""
    path = folder / "results.pt"
    torch.multiprocessing.start_processes(_interpret, (function, path), start_method=METHOD)
    return torch.load(path)


def _interpret(_, function, path):
    torch.set_num_threads(1)  # OpenMP's threads of the tests' process are not in its fork
    os.environ["TRITON_INTERPRET"] = "1"
    ours = f"{mmdet_ltnorm.norms.__name__}.backends.gpu"
    for name in list(sys.modules):
        if name == ours or name.startswith(f"{ours}."):
            parent, _, child = name.rpartition(".")
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(child, None)
            del sys.modules[name]
        elif name.split(".")[0] == "triton" and not name.startswith("triton._C"):
            del sys.modules[name]
    function(path)


class AbsentGPU:
    """A stand-in for Triton's driver, which tells it which GPU to compile for."""

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)


@contextmanager
def compiling_for_an_absent_gpu():
    """Compile launched kernels instead of running them, and yield the list of their names."""
    from triton.runtime import JITFunction, driver

    run, names = JITFunction.run, []

    def compile_alone(kernel, *args, **kwargs):
        assert run(kernel, *args, **kwargs | dict(warmup=True)).asm["ptx"]
        names.append(kernel.fn.__name__)

    driver.set_active(AbsentGPU())
    with patch.object(JITFunction, "run", compile_alone):
        yield names
