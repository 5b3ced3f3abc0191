"""Which checkpoint to resume from after a run was killed."""

import logging
import zipfile
from pathlib import Path

from mmengine.logging import print_log


def latest_complete_checkpoint(work_dir: str | Path) -> str | None:
    """Return the newest whole training checkpoint of a run, None if it has none yet.

    mmengine resumes from the file that ``last_checkpoint`` names, even one that was being written
    over when the run was killed. A checkpoint is a zip file, whose directory is written last: a
    file without one was cut short, and is passed over with a warning.
    """
    work_dir = Path(work_dir)
    candidates = [*work_dir.glob("epoch_*.pth"), *work_dir.glob("iter_*.pth")]
    pointer = work_dir / "last_checkpoint"
    if pointer.is_file():  # it names another folder when CheckpointHook has an out_dir
        named = [Path(line) for line in pointer.read_text().splitlines()]
        candidates += [path for path in named if path.is_file()]
    for path in sorted(candidates, key=_age, reverse=True):
        if zipfile.is_zipfile(path):
            return str(path)
        message = f"{path} was cut short when it was saved; resuming from the one before it"
        print_log(message, logger="current", level=logging.WARNING)
    return None


def _age(path: Path) -> tuple[float, int, str]:
    """Order by time, and by number where a file system's clock is too coarse to tell."""
    return path.stat().st_mtime, len(path.name), path.name
