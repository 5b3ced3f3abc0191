"""Trainings of a sweep, a process each, which continue after a stop."""

import math
import os
import subprocess
import time
from collections.abc import Sequence

from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.processes import end_children, start_child
from mmdet_ltnorm.results.scores import Results, default_metrics, in_percent, last_scores
from mmdet_ltnorm.sweep.planning import Run
from mmdet_ltnorm.sweep.progress import Progress


def train_runs(runs: Sequence[Run], command: Sequence[str], jobs: int = 1) -> Results:
    """Train the unfinished runs, ``jobs`` at a time, and return the scores of all finished runs.

    A run that fails is reported and left out; the others go on.

    Args:
        command: starts a training, before its config: ``[python, 'tools/train.py']``.
    """
    if jobs < 1:
        raise ValueError(f"at least one training runs at a time, got jobs={jobs}")
    waiting = [run for run in runs if run.result() is None]
    running: dict[Run, tuple[subprocess.Popen, float]] = {}
    ended = len(runs) - len(waiting)
    progress = Progress(waiting)
    told = f"{len(runs)} runs, {ended} of them ended earlier; the others write WORK_DIR/train.log"
    print(told, flush=True)
    try:
        while waiting or running:
            for run in [run for run in waiting if _may_start(run, runs)]:
                if len(running) < jobs:
                    waiting.remove(run)
                    running[run] = _start(run, command, jobs), time.monotonic()
            if not running:  # their first stages have failed
                break
            time.sleep(0.2)
            progress.show(running)
            for run in [run for run, (process, _) in running.items() if process.poll() is not None]:
                process, started = running.pop(run)
                ended += 1
                seconds = time.monotonic() - started
                outcome = _finish(run, process.returncode)
                label = f"run {ended}/{len(runs)}  {literal(run.name)} seed {run.seed}"
                progress.end(run, f"{label}  {seconds:.0f} s  {outcome}")
    finally:
        end_children([process for process, _ in running.values()])
    for run in waiting:
        print(f"{literal(run.name)} seed {run.seed} was not started: its first stage failed")
    return _collect(runs)


def _may_start(run: Run, runs: Sequence[Run]) -> bool:
    first = [other for other in runs if other.work_dir in run.first_stages]
    return all(other.result() is not None for other in first)


def _start(run: Run, command: Sequence[str], jobs: int) -> subprocess.Popen:
    run.note()
    arguments = [*command, str(run.config), "--work-dir", str(run.work_dir)]
    if any(run.work_dir.glob("*.pth")):
        arguments.append("--resume")
    environment = dict(os.environ)
    if jobs > 1:
        environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with (run.work_dir / "train.log").open("a") as log:
        return start_child([*arguments, "--cfg-options", *run.options], log, environment)


def _finish(run: Run, returncode: int) -> str:
    """Store the scores of an ended run, and return in words how it ended."""
    if returncode:
        how = f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
        return f"failed with {how}, see {run.work_dir / 'train.log'}"
    scores = last_scores(run.work_dir, run.last_step)
    if not scores:
        return f"has ended without a validation at its end, see {run.work_dir / 'train.log'}"
    run.note(scores)
    shown = in_percent(scores)
    told = [(metric, shown[metric]) for metric in default_metrics({run.name: {run.seed: shown}})]
    # A group without classes has no score.
    return ", ".join(f"{name.split('/')[-1]} {v:.1f}" for name, v in told if not math.isnan(v))


def _collect(runs: Sequence[Run]) -> Results:
    results: Results = {}
    for run in runs:
        scores = run.result()
        results.setdefault(run.name, {})
        if scores is not None:
            results[run.name][run.seed] = in_percent(scores)
    return results
