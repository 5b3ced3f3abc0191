"""Spans of time: by a GPU's own events, without waiting for it, else by the clock."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

Mark = float | torch.cuda.Event


class Spans:
    """Starts and ends of spans with one name."""

    def __init__(self) -> None:
        self._spans: list[tuple[Mark, Mark]] = []
        self._started: list[Mark] = []

    def start(self, *_: Any) -> None:
        """Begin a span; the arguments are those of torch's hooks."""
        self._started.append(_mark())

    def stop(self, *_: Any) -> None:
        """End the span that began last."""
        self._spans.append((self._started.pop(), _mark()))

    def around(self, call: Callable) -> Callable:
        """Return the function with a span around each call."""

        @wraps(call)
        def spanned(*args: Any, **kwargs: Any) -> Any:
            self.start()
            try:
                return call(*args, **kwargs)
            finally:
                self.stop()

        return spanned

    def take(self) -> float:
        """Return the seconds of all spans, and forget them."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = sum(_seconds(*span) for span in self._spans)
        self._spans.clear()
        return seconds


def _mark() -> Mark:
    if not torch.cuda.is_available():
        return perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _seconds(start: Mark, end: Mark) -> float:
    return end - start if isinstance(end, float) else start.elapsed_time(end) / 1000


@contextmanager
def module_spans(modules: Iterable[nn.Module]) -> Iterator[Spans]:
    """Collect the modules' spans, forward and backward, while inside.

    They return a tensor or a dictionary of tensors; their input is the first argument.
    """
    spans = Spans()

    def after_forward(
        _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | dict[str, Tensor]
    ) -> None:
        spans.stop()
        outputs = output.values() if isinstance(output, dict) else [output]
        for node in _nodes_between(outputs, inputs[0]):
            node.register_prehook(spans.start)
            node.register_hook(spans.stop)

    handles = []
    for module in modules:
        handles.append(module.register_forward_pre_hook(spans.start))
        handles.append(module.register_forward_hook(after_forward))
    try:
        yield spans
    finally:
        for handle in handles:
            handle.remove()


def _nodes_between(outputs: Iterable[Tensor], input: Tensor) -> list[Node]:
    """Return the autograd nodes between the input and the outputs.

    Hooks on modules would not do: their backward hooks forbid the in-place ReLU after a norm.
    """
    found, waiting = [], [output.grad_fn for output in outputs]
    while waiting:
        node = waiting.pop()
        if node is None or node is input.grad_fn or node in found or hasattr(node, "variable"):
            continue
        found.append(node)
        waiting += [following for following, _ in node.next_functions]
    return found
