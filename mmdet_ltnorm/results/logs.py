"""The logs of mmengine's local visualization backend."""

import json
import re
from pathlib import Path
from typing import Any

# LoggerHook's lines of an epoch or an iteration, and ProgressHook's.
_STEP = re.compile(
    r"(?:Epoch\(train\) +\[(\d+)\]|Iter\(train\) +)\[ *(\d+)/(\d+)\]| training (\d+)/(\d+),"
)


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


def trained_share(log: Path, last_step: int | None) -> float:
    """Return how much of a training its log on the terminal tells of, from 0 to 1.

    Args:
        last_step: the last epoch of a run that counts epochs.
    """
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    found = _STEP.findall(text)
    if not found:
        return 0.0
    epoch, *counts = found[-1]
    step, steps = filter(None, counts)
    share = int(step) / int(steps)
    return (int(epoch) - 1 + share) / (last_step or int(epoch)) if epoch else share
