"""The runs of a report, and the differences of their configs."""

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.runner import Runner

from mmdet_ltnorm.engine.resume import latest_complete_checkpoint
from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.reading import read_json
from mmdet_ltnorm.report.dumped import read_dumped
from mmdet_ltnorm.results import read_scalars
from mmdet_ltnorm.results.data_sets import data_of
from mmdet_ltnorm.results.scores import Results, in_percent, last_scores, last_step

# The entries that a training reads: others are variables, whose values stand again where they are
# used. Entries that change nothing in the model are left out.
READ = {*inspect.signature(Runner.__init__).parameters, "compile", "custom_imports", "may_differ"}
READ |= {"find_unused_parameters", "model_wrapper_cfg", "runner_type", "sync_bn", "tta_model"}
READ -= {"experiment_name", "launcher", "load_from", "log_level", "resume", "visualizer"}
READ -= {"self", "work_dir"}
SEED = "randomness.seed"
BACKBONE, WRAPPED = "model.backbone.type", "model.backbone.backbone"
LONGEST = 120  # characters of a value
FACTS = {
    "model": "model.type",
    "backbone": "model.backbone.type",
    "training set": "train_dataloader.dataset.type",
    "batch size": "train_dataloader.batch_size",
    "epochs": "train_cfg.max_epochs",
    "iterations": "train_cfg.max_iters",
    "optimizer": "optim_wrapper.optimizer.type",
    "learning rate": "optim_wrapper.optimizer.lr",
    "weight decay": "optim_wrapper.optimizer.weight_decay",
}


@dataclass
class LoggedRun:
    """A run by its work directory, with the name and the file of the config that it trained."""

    work_dir: Path
    name: str
    config: Path

    @cached_property
    def cfg(self) -> Config:
        """The config, which is not run to read it."""
        return read_dumped(self.config)

    @cached_property
    def entries(self) -> dict[str, str]:
        """The config's leaves by dotted key, as text."""
        return dict(_leaves(self.cfg.to_dict()))

    @property
    def seed(self) -> int:
        """The run's seed, 0 if the config has none."""
        return int(self.entries.get(SEED, 0))

    @property
    def checkpoint(self) -> str | None:
        """The newest whole checkpoint."""
        return latest_complete_checkpoint(self.work_dir)

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The logged records."""
        return read_scalars(self.work_dir)

    @property
    def last_step(self) -> int | None:
        """The epoch, or the iteration, at which the run ends."""
        return last_step(self.cfg)

    @property
    def started(self) -> str:
        """The time of its first start, as mmengine names the folder of logs."""
        return min(self.work_dir.glob("*/vis_data/scalars.json")).parents[1].name

    @property
    def place(self) -> float:
        """The config's place in the finished sweep that the run is of; infinite without one."""
        try:
            names = list(read_json(self.work_dir.parents[1] / "sweep.json")["runs"])
        except (IndexError, KeyError, OSError, TypeError, ValueError):
            return math.inf
        return names.index(self.name) if self.name in names else math.inf

    @cached_property
    def settings(self) -> dict[str, str]:
        """The entries that make the config, whatever the seed and the work directory.

        A backbone inside ``LTNormBackbone`` has the keys that it has outside of it.
        """
        read = {
            key: value
            for key, value in self.entries.items()
            if key != SEED and key.partition(".")[0] in READ
        }
        return dict(_unwrapped(read)) if read.get(BACKBONE) == "'LTNormBackbone'" else read

    def environment(self) -> dict[str, str]:
        """Return what mmengine's log says about the machine and its packages."""
        logs = sorted(self.work_dir.glob("*/*.log"))
        text = logs[-1].read_text(errors="replace") if logs else ""
        block = text.partition("System environment:")[2].partition("Runtime environment:")[0]
        lines = (line.strip() for line in block.splitlines() if line[:4].isspace())
        pairs = (line.partition(": ") for line in lines)
        left_out = ("numpy_random_seed", "PyTorch compiling details")
        return {key: value for key, _, value in pairs if value and key not in left_out}


def find_runs(folders: Sequence[str | Path]) -> dict[str, dict[int, LoggedRun]]:
    """Return the runs in and below the folders by the name of their config and by seed.

    They are in the order that was asked for: that of the folders, and in a folder that of the
    sweep's configs, or in which other runs were started. A run of two folders is in the first.
    Configs of one name that differ in more than the seed are told apart by their folder.

    Raises:
        ValueError: a folder has no run with a config, or two runs are of one config and seed.
    """
    found: dict[Path, LoggedRun] = {}
    for folder in map(Path, folders):
        for run in sorted(_runs_below(folder), key=lambda run: (run.place, run.started)):
            found.setdefault(run.work_dir.resolve(), run)
    runs = list(found.values())
    variants: dict[str, list[LoggedRun]] = {}
    for run in runs:
        known = variants.setdefault(run.name, [])
        if all(run.settings != other.settings for other in known):
            known.append(run)
    named: dict[str, dict[int, LoggedRun]] = {}
    for run in runs:
        like = variants[run.name]
        first = next(other for other in like if other.settings == run.settings)
        name = run.name if len(like) == 1 else literal(f"{run.name} in {first.work_dir}")
        by_seed = named.setdefault(name, {})
        if run.seed in by_seed:
            raise ValueError(
                f"{by_seed[run.seed].work_dir} and {run.work_dir} are runs of one config with the "
                f"same seed {run.seed}: give one of them"
            )
        by_seed[run.seed] = run
    return named


def _runs_below(folder: Path) -> Iterator[LoggedRun]:
    work_dirs = sorted({path.parents[2] for path in folder.rglob("vis_data/scalars.json")})
    if not work_dirs:
        raise ValueError(f"{folder} has no run in it: expected the work dir of tools/train.py")
    for work_dir in work_dirs:
        dumped = sorted(work_dir.glob("*.py"), key=lambda path: path.stat().st_mtime)
        # mmengine dumps a config twice: in the work directory, where a test by the host's own tool
        # writes over it, and beside the scalars of each training.
        trained = max(work_dir.glob("*/vis_data/scalars.json")).with_name("config.py")
        if not trained.is_file() and not dumped:
            raise ValueError(f"{work_dir} has no config, which training writes there")
        config = trained if trained.is_file() else dumped[-1]
        yield LoggedRun(work_dir, literal(_config_name(config, dumped)), config)


def _config_name(config: Path, dumped: Sequence[Path]) -> str:
    """Return the name of the dump with the config's content, else of the newest dump."""
    for path in dumped:
        if path.read_bytes() == config.read_bytes():
            return path.stem
    return dumped[-1].stem if dumped else config.parents[2].name


def by_data(runs: Mapping[str, Mapping[int, LoggedRun]]) -> list[dict[str, dict[int, LoggedRun]]]:
    """Part the runs by the data that they were trained and validated on."""
    parts: dict[str, dict[str, dict[int, LoggedRun]]] = {}
    for name, by_seed in runs.items():
        for seed, run in by_seed.items():
            data = str(data_of(run.cfg, "train_dataloader", "val_dataloader"))
            parts.setdefault(data, {}).setdefault(name, {})[seed] = run
    return list(parts.values())


def firsts(runs: Mapping[str, Mapping[int, LoggedRun]]) -> dict[str, LoggedRun]:
    """Return the run of each config with the smallest seed."""
    return {name: by_seed[min(by_seed)] for name, by_seed in runs.items()}


def scores(runs: Mapping[str, Mapping[int, LoggedRun]]) -> Results:
    """Return the scores of each run's last epoch; none for a run that was stopped earlier."""
    return {
        name: {
            seed: in_percent(last_scores(run.work_dir, run.last_step))
            for seed, run in by_seed.items()
        }
        for name, by_seed in runs.items()
    }


def facts(runs: Sequence[LoggedRun]) -> dict[str, str]:
    """Return the common facts of all runs in a few words."""
    found = {}
    for name, key in FACTS.items():
        values = {run.settings.get(key) for run in runs}
        if len(values) == 1 and None not in values:
            found[name] = _plain(values.pop())
    return found


class ChangedSetting(NamedTuple):
    """A setting, with its value in a config and in the first one; None where it is not set."""

    key: str
    value: str | None
    first: str | None


def config_differences(runs: Mapping[str, LoggedRun]) -> dict[str, list[ChangedSetting]]:
    """Return the settings of each other config that are not those of the first."""
    first, *others = runs
    found = {}
    for name in others:
        one, other = runs[first].settings, runs[name].settings
        found[name] = [
            ChangedSetting(
                key, *(_plain(each[key]) if key in each else None for each in (other, one))
            )
            for key in {**one, **other}
            # Testing is most often a copy of validation.
            if one.get(key) != other.get(key)
            and not _is_none_for(key, one, other)
            and not _is_none_for(key, other, one)
            and (not key.startswith("test_") or key.startswith("test_cfg"))
        ]
    return found


def _is_none_for(key: str, one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Tell whether one config has None where the other has entries, which say what differs."""
    whole = one.get(key) == "None" and key not in other
    return whole and any(
        each.replace("(LTNormBackbone)", "").startswith(f"{key}.") for each in other
    )


def _unwrapped(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give entries of a backbone in ``LTNormBackbone`` the keys that they have outside of it."""
    for key, value in settings.items():
        if key.startswith(f"{WRAPPED}."):
            yield key.replace(WRAPPED, "model.backbone", 1), value
        elif key != BACKBONE:
            inner = key.replace("model.backbone.", f"{WRAPPED}.", 1)
            taken = inner != key and inner in settings
            yield (key.replace("backbone", "backbone(LTNormBackbone)", 1) if taken else key), value


def _plain(value: str) -> str:
    """Return a value's text without the quotes of a string, and a long one without its middle."""
    text = value[1:-1] if value[:1] == value[-1:] and value[:1] in ("'", '"') else value
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted keys with the text of what they hold; a list of plain values is one entry."""
    if isinstance(value, Mapping) and value:
        items: Any = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        items = enumerate(value)
    else:
        yield prefix, repr(value)
        return
    for key, inner in items:
        yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
