"""The trainings of a sweep: every config with every seed, and what each has left behind."""

import argparse
import copy
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from mmdet_ltnorm.reading import read_config
from mmdet_ltnorm.results.data_sets import check_same_data
from mmdet_ltnorm.results.scores import last_step
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
