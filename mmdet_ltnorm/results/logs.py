"""The logs of mmengine's local visualization backend."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def read_scalars(work_dir: str | Path, since: str = "") -> list[dict[str, Any]]:
    """Return the logged records of a run and its resumptions, in the order of writing.

    Training records have ``iter`` and ``loss``; validation records have metric names and ``step``.
    A line that a kill has cut short is left out.

    Args:
        since: time at which a process started, as mmengine names its folder of logs; what earlier
            ones wrote is left out.
    """
    records = []
    for file in sorted(Path(work_dir).glob("*/vis_data/scalars.json")):
        if file.parents[1].name < since:
            continue
        for line in file.read_text().splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return records


def read_validations(work_dir: str | Path, since: str = "") -> list[dict[str, Any]]:
    """Return the records of validations, in the order of writing; ``since`` is read_scalars'."""
    # Only mmengine's logger writes times: records of hooks that log numbers of their own have none.
    records = read_scalars(work_dir, since)
    return [record for record in records if "loss" not in record and "time" in record]


@dataclass
class Progress:
    """The progress of a run; ``line`` has it in words."""

    iteration: int = 0
    loss: float = float("nan")
    metrics: dict[str, float] | None = None

    @classmethod
    def of(cls, work_dir: str | Path) -> "Progress":
        """Read the progress of the run in a work directory."""
        progress = cls()
        for record in read_scalars(work_dir):
            if "loss" in record:
                progress.iteration, progress.loss = record["iter"], record["loss"]
            elif any(name.startswith("lvis/") for name in record):
                progress.metrics = record
        return progress

    def line(self) -> str:
        """Return the progress in words."""
        if not self.iteration:
            return "starting"
        words = f"iteration {self.iteration}, loss {self.loss:.2f}"
        if self.metrics:
            words += f", mask AP {100 * self.metrics['lvis/segm_AP']:.1f}"
        return words
