"""Trainings of every config with every seed, a process each, which continue after a stop."""

import argparse
import copy
import hashlib
import json
import math
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.processes import end_children, start_child
from mmdet_ltnorm.reading import read_config
from mmdet_ltnorm.results.data_sets import check_same_data
from mmdet_ltnorm.results.scores import Results, in_percent, last_scores, last_step
from mmdet_ltnorm.writing import write_json


@dataclass(frozen=True)
class Run:
    """One training: a config, a seed, a work directory, and options."""

    config: Path
    seed: int
    work_dir: Path
    options: tuple[str, ...] = ()
    fingerprint: str = ""
    first_stages: tuple[Path, ...] = ()  # work directories that must be finished before
    last_step: int | None = None  # the last epoch, or iteration in a run that counts those

    @property
    def name(self) -> str:
        """The config's name in tables and pictures."""
        return self.config.stem

    def result(self) -> dict[str, float] | None:
        """Return the scores of the last epoch, None before the run has ended.

        Raises:
            ValueError: the work directory holds a run of another config.
        """
        content = _read(self.work_dir / "sweep_run.json")
        if content and content["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"{self.work_dir} holds a run of another config or other options: delete it, or "
                "give another --work-dir"
            )
        scores = content.get("scores")
        return scores and {name: math.nan if v is None else v for name, v in scores.items()}

    def note(self, scores: Mapping[str, float] | None = None) -> None:
        """Write the run's config, fingerprint and scores to the work directory."""
        content: dict[str, Any] = {"config": str(self.config), "fingerprint": self.fingerprint}
        if scores:
            content["scores"] = {k: None if math.isnan(v) else v for k, v in scores.items()}
        write_json(self.work_dir / "sweep_run.json", content)


def plan_runs(
    configs: Sequence[str], seeds: Sequence[int], work_dir: str, options: Sequence[str] = ()
) -> list[Run]:
    """List the trainings of a sweep: the first config with every seed, then the second, ...

    A config that loads ``work_dirs/NAME/...``, as second stages do, loads the run of the same seed
    of this sweep's config NAME instead.

    Raises:
        ValueError: configs of one name or of different data, or a seed given twice.
    """
    names = [Path(config).stem for config in configs]
    for what, values in ("configs need different names", names), ("seeds must differ", seeds):
        folded = {str(value).casefold() for value in values}  # as some file systems have names
        if len(folded) != len(values):
            raise ValueError(f"{what}, got {', '.join(map(str, values))}")
    cfgs = {Path(config).stem: read_config(config) for config in configs}
    check_same_data(cfgs, "train_dataloader", "val_dataloader")
    runs = []
    for config in configs:
        cfg = cfgs[Path(config).stem].to_dict()
        cfg.pop("filename", None)
        for seed in seeds:
            folder = {name: Path(work_dir, name, f"seed_{seed}") for name in names}
            stages = dict(_first_stages(cfg, folder))
            wired = [f"{key}={path}" for key, (path, _) in stages.items()]
            chosen = (f"randomness.seed={seed}", *wired, *options)
            text = json.dumps([cfg, chosen], sort_keys=True, default=str)
            digest = hashlib.sha256(text.encode()).hexdigest()
            needed = tuple({stage for _, stage in stages.values()})
            last = last_step(_with_options(cfg, chosen))
            run = Run(Path(config), seed, folder[Path(config).stem], chosen, digest, needed, last)
            runs.append(run)
    return runs


def _with_options(content: Mapping[str, Any], options: Sequence[str]) -> Config:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="*", action=DictAction)
    cfg = Config(copy.deepcopy(content))
    cfg.merge_from_dict(parser.parse_args(["--cfg-options", *options]).cfg_options)
    return cfg


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
    ended = earlier = len(runs) - len(waiting)
    began = time.monotonic()
    print(f"{len(runs)} runs, {ended} of them ended earlier; the others write WORK_DIR/train.log")
    try:
        while waiting or running:
            for run in [run for run in waiting if _may_start(run, runs)]:
                if len(running) < jobs:
                    waiting.remove(run)
                    running[run] = _start(run, command, jobs), time.monotonic()
            if not running:  # their first stages have failed
                break
            time.sleep(0.2)
            for run in [run for run, (process, _) in running.items() if process.poll() is not None]:
                process, started = running.pop(run)
                ended += 1
                seconds = time.monotonic() - started
                outcome = _finish(run, process.returncode)
                label = f"run {ended}/{len(runs)}  {literal(run.name)} seed {run.seed}"
                left = (time.monotonic() - began) / (ended - earlier) * (len(runs) - ended)
                told = f", about {timedelta(seconds=round(left))} left" if left else ""
                print(f"{label}  {seconds:.0f} s  {outcome}{told}", flush=True)
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
    shown = in_percent(scores).items()
    return ", ".join(f"{name.split('/')[-1]} {value:.1f}" for name, value in shown)


def _collect(runs: Sequence[Run]) -> Results:
    results: Results = {}
    for run in runs:
        scores = run.result()
        results.setdefault(run.name, {})
        if scores is not None:
            results[run.name][run.seed] = in_percent(scores)
    return results


def _first_stages(
    value: Any, folders: Mapping[str, Path], key: str = ""
) -> Iterator[tuple[str, tuple[Path, Path]]]:
    """Yield the config keys that name a checkpoint of another config of the sweep."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _first_stages(inner, folders, f"{key}.{name}".lstrip("."))
    elif isinstance(value, str) and value.endswith(".pth"):
        parent = Path(value).parent
        if parent.parent.name == "work_dirs" and parent.name in folders:
            yield key, (folders[parent.name] / Path(value).name, folders[parent.name])


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError:  # an empty file is what a full disk used to leave
        print(f"{file} is damaged: going on with what {file.parent} holds", flush=True)
        return {}
