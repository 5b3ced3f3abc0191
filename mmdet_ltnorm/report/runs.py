"""The runs of a report, and the differences of their configs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdet_ltnorm.engine.resume import latest_complete_checkpoint
from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.report.dumped import read_dumped
from mmdet_ltnorm.results import read_scalars
from mmdet_ltnorm.results.data_sets import data_of
from mmdet_ltnorm.results.scores import Results, in_percent, last_scores, last_step

# Of a run, not of its config.
OWN = ("work_dir", "filename", "launcher", "load_from", "resume", "experiment_name")
SEED = "randomness.seed"
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
        """What was logged."""
        return read_scalars(self.work_dir)

    @property
    def last_step(self) -> int | None:
        """The epoch, or the iteration, at which the run ends."""
        return last_step(self.cfg)

    def settings(self) -> dict[str, str]:
        """Return the entries that make the config, whatever the seed and the work directory."""
        return {
            key: value
            for key, value in self.entries.items()
            if key != SEED and key.partition(".")[0] not in OWN
        }

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

    Configs of one name that differ in more than the seed are told apart by their folder.

    Raises:
        ValueError: a folder has no run with a config, or two runs are of one config and seed.
    """
    runs = [run for folder in folders for run in _runs_below(Path(folder))]
    variants: dict[str, list[LoggedRun]] = {}
    for run in runs:
        known = variants.setdefault(run.name, [])
        if all(run.settings() != other.settings() for other in known):
            known.append(run)
    named: dict[str, dict[int, LoggedRun]] = {}
    for run in runs:
        like = variants[run.name]
        first = next(other for other in like if other.settings() == run.settings())
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
        values = {_entry(run.entries, key) for run in runs}
        if len(values) == 1 and None not in values:
            found[name] = values.pop().strip("'")
    return found


def _entry(entries: Mapping[str, str], key: str) -> str | None:
    """Return an entry of a config; for ``LTNormBackbone`` that of the backbone it builds."""
    value = entries.get(key)
    return entries.get("model.backbone.backbone.type") if value == "'LTNormBackbone'" else value


def config_differences(runs: Sequence[LoggedRun]) -> list[tuple[str, list[str]]]:
    """Return the settings that are not the same in all runs, with each run's; "–" for none."""
    settings = [run.settings() for run in runs]
    keys = dict.fromkeys(key for each in settings for key in each)
    rows = [(key, [each.get(key, "–") for each in settings]) for key in keys]
    # Testing is most often a copy of validation.
    shown = [row for row in rows if not row[0].startswith("test_") or "test_cfg" in row[0]]
    return [row for row in shown if len(set(row[1])) > 1]


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
