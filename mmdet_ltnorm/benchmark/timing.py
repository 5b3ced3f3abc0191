"""Times of steps that take turns, so that a busy machine slows all of them alike."""

import ctypes
import platform
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import shuffle
from statistics import median, quantiles
from time import perf_counter
from typing import TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

Result = TypeVar("Result")


def interleaved(steps: Sequence[Callable[[], Result]], rounds: int) -> list[list[Result]]:
    """Run the steps in shuffled turns after one to warm up; return the results of each."""
    results: list[list[Result]] = [[] for _ in steps]
    order = list(zip(steps, results, strict=True))
    for turn in range(rounds + 1):
        shuffle(order)  # the order decides what is still in the caches
        for step, collected in order:
            result = step()
            if turn:
                collected.append(result)
    return results


def timed(steps: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Return the seconds of each step in interleaved rounds."""
    return interleaved([partial(_seconds, step) for step in steps], rounds)


def _seconds(step: Callable[[], object]) -> float:
    start = _now()
    step()
    return _now() - start


def _now() -> float:
    """Return the time after the GPU, if there is one, has finished its queue."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter()


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Format the median of the paired ratios with its quartiles."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Format a median with its quartiles."""
    low, _, high = quantiles(values, n=4)
    return f"{median(values):{form}} [{low:{form}}, {high:{form}}]"


def peak_bytes(step: Callable[[], object]) -> int:
    """Return the peak of allocated memory during the step."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    allocated = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        allocated += event.nbytes()
        peak = max(peak, allocated)
    return peak


def machine() -> str:
    """Return the name of the machine for a table."""
    if torch.cuda.is_available():
        return f"torch {torch.__version__}, {torch.cuda.get_device_name()}"
    return f"torch {torch.__version__}, {_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    listed = Path("/proc/cpuinfo")  # Python names no more than the architecture
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def keep_freed_memory() -> None:
    """Let glibc reuse large blocks: page faults of fresh ones cost more than what we compare."""
    if sys.platform == "linux":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(ctypes.c_int(-3), ctypes.c_int(2**30))  # M_MMAP_THRESHOLD
        libc.mallopt(ctypes.c_int(-1), ctypes.c_int(2**31 - 1))  # M_TRIM_THRESHOLD
