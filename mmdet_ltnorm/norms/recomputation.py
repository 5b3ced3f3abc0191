"""The memory of a layer that repeats a training pass for gradient checkpointing."""

from collections import deque
from typing import NamedTuple

import torch
from torch import Tensor

# A pass is forgotten after this many later ones.
PASSES = 8


def recomputing() -> bool:
    """Tell whether this forward pass runs inside a backward pass, as checkpointing repeats it."""
    return torch._C._current_graph_task_id() != -1


class TrainingPass(NamedTuple):
    """The statistics before a pass, flat, its split, and the shape and centre that identify it."""

    shape: torch.Size
    centre: Tensor
    start: Tensor
    groups: Tensor | None


class TrainingPasses:
    """The last training passes that have not been repeated yet."""

    def __init__(self) -> None:
        self._passes: deque[TrainingPass] = deque(maxlen=PASSES)

    def add(self, training_pass: TrainingPass) -> None:
        """Store a pass."""
        self._passes.append(training_pass)

    def take(self, shape: torch.Size, centre: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the start and the split of the pass with this input, and drop it.

        Of passes with equal inputs it is the latest, as backward goes through them.

        Raises:
            RuntimeError: there is none.
        """
        for index in reversed(range(len(self._passes))):
            found = self._passes[index]
            if found.shape == shape and torch.allclose(found.centre, centre, 1e-3, 1e-5):
                del self._passes[index]
                return found.start, found.groups
        raise RuntimeError(
            "gradient checkpointing repeats a pass through a CBN layer that is not among the last "
            f"{PASSES} of its training passes: call backward sooner and once, or switch with_cp off"
        )
