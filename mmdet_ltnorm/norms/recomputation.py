"""What a layer must remember to repeat a training pass for gradient checkpointing."""

from collections import deque
from typing import NamedTuple

import torch
from torch import Tensor

from mmdet_ltnorm.norms.mixture import Components

# More passes than this between a forward pass and its recomputation are not remembered.
PASSES = 8


def recomputing() -> bool:
    """Tell whether this forward pass runs inside a backward pass, as checkpointing repeats it."""
    return torch._C._current_graph_task_id() != -1


class TrainingPass(NamedTuple):
    """The components before the pass, its split, and what tells it from others."""

    shape: torch.Size
    centre: Tensor
    stored: Components
    groups: Tensor | None


class TrainingPasses:
    """The last training passes that have not been repeated yet."""

    def __init__(self) -> None:
        self._passes: deque[TrainingPass] = deque(maxlen=PASSES)

    def add(self, training_pass: TrainingPass) -> None:
        """Remember a pass."""
        self._passes.append(training_pass)

    def take(self, shape: torch.Size, centre: Tensor) -> TrainingPass:
        """Return the pass with this input and forget it: of equal ones the latest, as in backward.

        Raises:
            RuntimeError: there is none.
        """
        candidates = [p for p in reversed(self._passes) if p.shape == shape]
        if not candidates:
            raise RuntimeError(
                "gradient checkpointing repeats a pass through a CBN layer that is not among the "
                f"last {PASSES} of its training passes: switch with_cp off, or call backward after "
                f"at most {PASSES} passes and once for each"
            )
        found = min(candidates, key=lambda p: float((p.centre - centre).abs().max()))
        self._passes = deque((p for p in self._passes if p is not found), maxlen=PASSES)
        return found
