"""Times of the parts of a config's training step; several configs take turns."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from mmcv.cnn import is_norm
from mmengine.config import Config

from mmdet_ltnorm.benchmark.spans import Spans, module_spans
from mmdet_ltnorm.benchmark.timing import interleaved, peak_bytes, ratios, spread
from mmdet_ltnorm.engine.checks import check_data_files
from mmdet_ltnorm.engine.launch import build_runner
from mmdet_ltnorm.engine.options import merge_options
from mmdet_ltnorm.reading import read_model_config
from mmdet_ltnorm.results.tables import Table

# Hooks that cost time between steps or write files, and change nothing in a step.
SWITCHED_OFF = ("timer", "logger", "param_scheduler", "checkpoint")
LEFT_OUT = ("missing_validation", "randomness", "resume")  # mmengine takes no None for these


class StepTimes(NamedTuple):
    """Seconds of a step's parts; the data is loaded before the step."""

    data: float
    forward: float
    backward: float
    optimizer: float

    @property
    def step(self) -> float:
        """Forward, backward and optimizer together."""
        return self.forward + self.backward + self.optimizer


class TrainingStep:
    """A call is one training step of a config, as its run takes it, at a learning rate of 0.

    So all steps of a model do the same work. The data is loaded in this process.
    """

    def __init__(self, cfg: Config) -> None:
        runner = build_runner(cfg)
        self.batch_size = cfg.train_dataloader.batch_size
        self.loader = runner.train_dataloader
        self.model = runner.model
        self.model.init_weights()
        self.optimizer = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.optim_wrapper = self.optimizer
        for event in ("before_run", "before_train", "before_train_epoch"):
            runner.call_hook(event)
        for group in self.optimizer.optimizer.param_groups:
            group["lr"] = 0.0
        self.model.train()
        self.data, self.whole, self.backward, self.update = (Spans() for _ in range(4))
        self._batches = self._endless()
        preprocessor = self.model.data_preprocessor
        preprocessor.forward = self.data.around(preprocessor.forward)
        self.optimizer.backward = self.backward.around(self.optimizer.backward)
        for name in ("step", "zero_grad"):
            call = getattr(self.optimizer, name)
            setattr(self.optimizer, name, self.update.around(call))
        self._train_step = self.whole.around(self.model.train_step)
        self._load = self.data.around(lambda: next(self._batches))

    def __call__(self) -> StepTimes:
        """Take the step and return its times."""
        batch = self._load()
        loading = self.data.take()
        self._train_step(batch, optim_wrapper=self.optimizer)
        preparing, backward, update = self.data.take(), self.backward.take(), self.update.take()
        forward = self.whole.take() - preparing - backward - update
        return StepTimes(loading + preparing, forward, backward, update)

    def norm_share(self) -> float:
        """Take a step, and return the share of the norm layers in it."""
        with module_spans(filter(is_norm, self.model.modules())) as spans:
            step = self().step
            return spans.take() / step

    def _endless(self) -> Iterator[Any]:
        while True:
            yield from self.loader


def benchmark_table(
    configs: Sequence[str], rounds: int, options: Mapping[str, Any] | None = None
) -> Table:
    """Measure training steps of the configs in turns, and return a table.

    Medians with quartiles, in milliseconds; ratios of steps to the first config's are paired by
    rounds. The memory of a step is its peak above the memory that stays allocated. The norm layers'
    share is measured in rounds of its own.

    Raises:
        FileNotFoundError: a config or its training data is missing.
    """
    if rounds < 1:
        raise ValueError(f"expected at least one round of each step, got {rounds}")
    with ExitStack() as stack:
        steps = []
        for number, config in enumerate(configs):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            cfg = training_config(config, options or {}, folder)
            cfg.experiment_name = f"benchmark_{number}"
            steps.append(TrainingStep(cfg))
        times = interleaved(steps, rounds)
        shares = interleaved([step.norm_share for step in steps], rounds)
        memory = [peak_bytes(step) for step in steps]
    first = [taken.step for taken in times[0]]
    rows = [
        [Path(config).stem, *_cells(taken, first, step.batch_size, peak, share)]
        for config, step, taken, share, peak in zip(
            configs, steps, times, shares, memory, strict=True
        )
    ]
    header = ["ms", *StepTimes._fields, "step", "over the first", "images/s", "MB", "norms, %"]
    return Table(header, rows)


def _cells(
    times: list[StepTimes], first: list[float], batch_size: int, peak: int, share: list[float]
) -> list[str]:
    steps = [taken.step for taken in times]
    return [
        *(spread([1000 * part for part in parts], ".1f") for parts in zip(*times, strict=True)),
        spread([1000 * step for step in steps], ".1f"),
        ratios(steps, first),
        f"{batch_size / median(steps):.1f}",
        f"{peak / 2**20:.0f}",
        spread([100 * part for part in share], ".0f"),
    ]


def training_config(config: str, options: Mapping[str, Any], work_dir: str) -> Config:
    """Return a config for training without validation and without output files."""
    cfg = read_model_config(config)
    merge_options(cfg, options)
    check_data_files(cfg, "train_dataloader")
    for kind in ("val", "test"):
        for part in ("dataloader", "cfg", "evaluator"):
            cfg[f"{kind}_{part}"] = None
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.pop("prefetch_factor", None)
    hooks = {k: v for k, v in cfg.get("default_hooks", {}).items() if k not in LEFT_OUT}
    cfg.default_hooks = {**hooks, **dict.fromkeys(SWITCHED_OFF)}
    cfg.visualizer = None
    cfg.update(work_dir=work_dir, launcher="none", log_level="WARNING")
    return cfg
