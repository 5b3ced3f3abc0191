"""Compiling Triton's kernels for a GPU that is not there."""

from contextlib import contextmanager
from unittest.mock import patch


class AbsentGPU:
    """What Triton asks its driver to compile."""

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
