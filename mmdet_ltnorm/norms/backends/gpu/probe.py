"""A kernel that does next to nothing, to see whether Triton can compile and launch any here."""

import torch
import triton
import triton.language as tl


def launch() -> None:
    """Compile the kernel and launch it on the current GPU; raises whatever goes wrong."""
    _write[(1,)](torch.empty(1, device="cuda"))


@triton.jit
def _write(output):
    tl.store(output, 1.0)
