"""The checkpoint from which a killed run resumes."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from mmengine.logging import print_log

from mmdet_ltnorm.engine.checkpoint import is_whole


def latest_complete_checkpoint(work_dir: str | Path) -> str | None:
    """Return the last complete training checkpoint of a run, None if there is none.

    It is the one that the run itself names in ``last_checkpoint``, else the newest by number; the
    times of files mean nothing once a folder was copied. A file that a kill has cut short, or that
    was damaged later, is passed over with a warning.
    """
    for path in _newest_first(Path(work_dir)):
        if is_whole(path):
            return str(path)
        message = f"{path} was cut short when it was saved, or damaged; trying the one before it"
        print_log(message, logger="current", level=logging.WARNING)
    return None


def _newest_first(work_dir: Path) -> Iterator[Path]:
    """Yield the checkpoint that the run names, then earlier ones, then later ones.

    A later one than the run names was left by an earlier run, unless a kill came between saving it
    and naming it.
    """
    found = [*work_dir.glob("epoch_*.pth"), *work_dir.glob("iter_*.pth")]
    numbered = sorted((path for path in found if _number(path)), key=_number, reverse=True)
    named = _named(work_dir)
    if named is None:
        yield from numbered
        return
    yield named
    others = [path for path in numbered if path != named]
    last = _number(named) or (True, 0)
    yield from (path for path in others if _number(path) < last)
    yield from (path for path in others if _number(path) >= last)


def _named(work_dir: Path) -> Path | None:
    pointer = work_dir / "last_checkpoint"
    name = pointer.read_text().strip() if pointer.is_file() else ""
    # In a copied folder it still names the old one; with CheckpointHook's out_dir it is elsewhere.
    places = [work_dir / Path(name).name, Path(name)]
    return next((path for path in places if name and path.is_file()), None)


def _number(path: Path) -> tuple[bool, int] | None:
    """Return the sort key of a checkpoint: epochs before iterations, then the number."""
    match = re.fullmatch(r"(epoch|iter)_(\d+)\.pth", path.name)
    return match and (match[1] == "epoch", int(match[2]))
