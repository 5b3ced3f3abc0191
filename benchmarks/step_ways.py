"""A step run eagerly, as a CUDA graph and compiled, for benchmarks/gpu_check.py."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import monotonic, perf_counter
from typing import Any

import torch
from paired_training import EAGER_STEPS, on_stream, root_cause
from torch.profiler import ProfilerActivity, profile

from mmdet_ltnorm.benchmark import ratios, timed
from mmdet_ltnorm.results.tables import markdown_table

Step = Callable[[], object]
# Makes a step from options for torch.compile, or from None a step that runs eagerly.
Maker = Callable[[Mapping[str, Any] | None], Step]

WAYS = ("eager", "captured", "compiled")
STARTS_OF_LAUNCHES = ("cudaLaunch", "cuLaunch", "cudaGraphLaunch", "cudaMemcpy", "cudaMemset")


class Deadline:
    """The end of the time for all measurements."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._end - monotonic()


def captured(step: Step) -> Step:
    """Return a replay of the step as a CUDA graph.

    Raises:
        RuntimeError: the step cannot be captured, or there is no GPU.
    """
    if not torch.cuda.is_available():
        raise RuntimeError("CUDA graphs need a GPU")
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with on_stream(stream):
        for _ in range(EAGER_STEPS):
            step()
        try:
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                step()
        finally:
            torch.cuda.synchronize()
    return graph.replay


def launches(step: Step) -> int:
    """Return how many kernels and copies a step launches; on a CPU, how many torch operations."""
    on_gpu = torch.cuda.is_available()
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=kinds) as profiler:
        step()
    names = [event.name() for event in profiler.profiler.kineto_results.events()]
    return sum(name.startswith(STARTS_OF_LAUNCHES if on_gpu else "aten::") for name in names)


def host_seconds(step: Step, rounds: int) -> float:
    """Return the median time that the host takes to launch a step; the GPU may still be at work."""
    taken = []
    for _ in range(rounds):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = perf_counter()
        step()
        taken.append(perf_counter() - start)
    return median(taken)


def questions(step: Step) -> int:
    """Return how often a step makes the host wait for the GPU."""
    if not torch.cuda.is_available():
        return 0
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in caught)


def comparison(
    makers: Mapping[str, Maker],
    targets: Mapping[tuple[str, str], float],
    rounds: int,
    compiling: Mapping[str, Any],
    deadline: Deadline,
    ways: Sequence[str] = WAYS,
) -> str:
    """Return a table of the steps' times over the first step's time, for each way of running them.

    Args:
        targets: the largest wanted ratio by name and way, shown beside the measured one.
        compiling: options of ``torch.compile``.
    """
    first, *others = makers
    eager = {name: make(None) for name, make in makers.items()}
    cells: dict[str, list[str]] = {name: [] for name in makers}
    for way in ways:
        built = _built(way, makers, eager, compiling, deadline)
        ready = [name for name, step in built.items() if not isinstance(step, str)]
        if first not in ready:
            ready = []
        times = dict(zip(ready, timed([built[name] for name in ready], rounds), strict=True))
        for name in makers:
            cells[name].append(_cell(name, first, times, built, targets.get((name, way))))
    for name, step in eager.items():
        cells[name] += [
            str(launches(step)),
            f"{1e3 * host_seconds(step, rounds):.2f}",
            str(questions(step)),
        ]
    header = ["", *ways, "launches" if torch.cuda.is_available() else "operations"]
    header += ["host, ms", "synchronizations"]
    return markdown_table(header, [[name, *cells[name]] for name in (first, *others)])


def _built(
    way: str,
    makers: Mapping[str, Maker],
    eager: Mapping[str, Step],
    compiling: Mapping[str, Any],
    deadline: Deadline,
) -> dict[str, Step | str]:
    """Return each step ready to run in this way, or the reason why it cannot."""
    built: dict[str, Step | str] = {}
    for name, make in makers.items():
        if way == "eager":
            built[name] = eager[name]
            continue
        if deadline.left() < 0:
            built[name] = "left out: time"
            continue
        try:
            built[name] = captured(eager[name]) if way == "captured" else make(compiling)
            for _ in range(EAGER_STEPS):  # the first ones compile, record and replay
                built[name]()
        except Exception as error:  # from a compiler, a driver or torch: the page names it
            built[name] = f"no: {root_cause(error)[:80]}".replace("|", "/")
    return built


def _cell(
    name: str,
    first: str,
    times: Mapping[str, Sequence[float]],
    built: Mapping[str, Step | str],
    target: float | None,
) -> str:
    if name not in times:
        return built[name] if isinstance(built[name], str) else "nothing to compare with"
    if name == first:
        return f"{1e3 * median(times[name]):.3f} ms"
    wanted = "" if target is None else f", wanted at most {target}"
    return ratios(times[name], times[first]) + wanted
