"""How far runs are, from what they have logged."""

from dataclasses import dataclass
from pathlib import Path

from mmdet_ltnorm.run_logs import read_scalars


@dataclass
class Progress:
    """How far a run is; ``line`` says it in words."""

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
