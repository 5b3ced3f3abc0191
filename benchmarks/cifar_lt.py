"""Paired trainings on CIFAR-10-LT: what the norms and LR do to real images, and why.

    python benchmarks/cifar_lt.py --preset remedies --epochs 50 --seeds 0 1 2
    python benchmarks/cifar_lt.py --preset remedies --size 16 --depth 20      # on a CPU
    python benchmarks/cifar_lt.py --preset paper --seconds 480                # on a GPU
    python benchmarks/cifar_lt.py --run "cross entropy" configs/cifar_lt/cifar10_ce.py \
        --run "weight decay 5e-3" configs/cifar_lt/cifar10_ce.py \
            optim_wrapper.optimizer.weight_decay=5e-3

It takes any classification config whose model and hooks do not depend on the epoch, and trains it
with every seed. Model, loss, augmentation and data are the config's. Its schedule is replaced by
--epochs or --seconds: a linear warm-up over 5 % of the steps, then cosine to 0, and one validation
after the last step. Runs of one seed see the same images in the same order. On a GPU all runs train
at once (benchmarks/paired_training.py), on a CPU one after the other. The same command, started
again, continues where it stopped.

Writes results.md, and for each experiment sweep.json, .csv, .md and .png into --out. Each run's
folder holds the config that `tools/train.py` trains to the same result, checkpoints, the classes'
accuracies, and curve.jsonl with loss, g and ‖W‖.
"""

import argparse
import copy
import gc
import hashlib
import itertools
import json
import math
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from cifar_lt_experiments import EXPERIMENTS, PRESETS
from cifar_lt_results import inside, measured, report, score_names
from mmengine.config import Config, DictAction
from paired_training import EAGER_STEPS, PairedRun, train

from mmdet_ltnorm.benchmark import machine
from mmdet_ltnorm.data.wrapped import training_set
from mmdet_ltnorm.engine.options import merge_options
from mmdet_ltnorm.engine.resume import latest_complete_checkpoint
from mmdet_ltnorm.processes import claim_folder
from mmdet_ltnorm.sweep import Results, Run
from mmdet_ltnorm.writing import write_json

ROOT = Path(__file__).parents[1]
_runs = itertools.count()


@dataclass(frozen=True)
class Planned:
    """A planned run: its label, the record in its folder, and its config."""

    label: str
    kept: Run
    cfg: Config


def plan(args: argparse.Namespace, steps: int, out: Path) -> list[Planned]:
    """Return all runs, seed by seed.

    Raises:
        ValueError: two runs have one label, or two labels give one folder.
    """
    variants: dict[str, list[str]] = {}
    for label, words in (pair for runs in args.experiments.values() for pair in runs.items()):
        if variants.setdefault(label, words) != words:
            raise ValueError(f"{label!r} names two runs: {variants[label]} and {words}")
    folders = [re.sub(r"\W+", "_", label.lower()).strip("_") for label in variants]
    if len(set(folders)) != len(folders):
        raise ValueError(f"labels need different names of folders, got {', '.join(folders)}")
    planned = []
    for seed in args.seeds:
        for (label, words), folder in zip(variants.items(), folders, strict=True):
            work_dir = out / folder / f"seed_{seed}"
            cfg = run_config(words, args, steps, seed)
            text = json.dumps(cfg.to_dict(), sort_keys=True, default=str)
            digest = hashlib.sha256(text.encode()).hexdigest()
            cfg.work_dir = str(work_dir)
            # mmengine keeps one log and one message hub for each name.
            cfg.experiment_name = f"{folder}-{seed}-{next(_runs)}"
            cfg.val_evaluator.per_class_file = str(work_dir / "classes.json")
            planned.append(Planned(label, Run(Path(words[0]), seed, work_dir, (), digest), cfg))
    return planned


def run_config(words: Sequence[str], args: argparse.Namespace, steps: int, seed: int) -> Config:
    """Return the config CONFIG with KEY=VALUE ... (``words``) and this tool's options applied."""
    path, *options = words
    cfg = Config.fromfile(ROOT / path)
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--options", nargs="*", action=DictAction, default={})
    merge_options(cfg, parser.parse_args(["--options", *options]).options)
    merge_options(cfg, args.cfg_options)
    warm_up = max(1, steps // 20)
    cfg.param_scheduler = [
        dict(type="LinearLR", start_factor=1 / warm_up, by_epoch=False, begin=0, end=warm_up),
        dict(type="CosineAnnealingLR", by_epoch=False, begin=warm_up, end=steps),
    ]
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=steps, val_interval=steps)
    cfg.default_hooks.checkpoint.update(
        by_epoch=False, interval=max(1, steps // 10), max_keep_ckpts=2
    )
    cfg.default_hooks.pop("missing_validation", None)  # this tool validates
    cfg.log_processor.by_epoch = False
    cfg.launcher, cfg.log_level = "none", "ERROR"
    cfg.visualizer = None
    cfg.randomness = dict(seed=seed)
    cfg.train_dataloader.update(
        batch_size=args.batch,
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
        drop_last=True,
    )
    cfg.val_dataloader.update(num_workers=0, persistent_workers=False)
    for loader in cfg.train_dataloader, cfg.val_dataloader:
        if loader.dataset.type.startswith("CIFAR"):
            loader.dataset.data_root = str(args.data)
        if args.size:
            shrink(loader.dataset.pipeline, args.size)
    if args.channels_last:
        cfg.channels_last = True
    if args.depth:
        cfg.model.backbone.backbone.depth = args.depth
    if torch.cuda.is_available() and cfg.optim_wrapper.optimizer.type == "SGD":
        cfg.optim_wrapper.optimizer.fused = True  # CUDA graphs need the rate in a tensor
    return cfg


def shrink(pipeline: list[Config], size: int) -> None:
    """Make a pipeline resize its images at the end; augmentation still sees the full size."""
    resize = dict(type="Resize", scale=(size, size), interpolation="area")
    for step in pipeline:
        if step.type == "MultiView":
            step.views = [[*view, resize] for view in step.views]
            return
    pipeline.insert(len(pipeline) - 1, resize)


def fitted_steps(args: argparse.Namespace, began: float) -> int:
    """Return how many steps fit into --seconds; a few steps are timed in a temporary folder.

    Raises:
        ValueError: the time is too short for two steps.
    """
    tried = 20 if torch.cuda.is_available() else 3
    setting_up = step = scoring = 0.0
    with tempfile.TemporaryDirectory() as folder:
        planned = plan(args, 1000, Path(folder))
        if not torch.cuda.is_available():
            planned = [item for item in planned if item.kept.seed == args.seeds[0]]
        for group in groups(planned):
            start = now()
            runs = set_up(group)
            train(runs, EAGER_STEPS + 1, print_nothing)  # the last one captures CUDA graphs
            set_up_at = now()
            train(runs, EAGER_STEPS + 1 + tried, print_nothing)
            stepped_at = now()
            setting_up += set_up_at - start
            step += (stepped_at - set_up_at) / tried
            if not scoring:
                measured(runs[0], args.rarest)
                scoring = now() - stepped_at
            del runs
            gc.collect()  # a Runner is in a reference cycle, and holds workers and GPU memory
    seeds = 1 if torch.cuda.is_available() else len(args.seeds)
    count = len(planned) * seeds
    left = args.seconds - (now() - began) - seeds * setting_up - count * scoring
    steps = int(0.95 * left / (seeds * step))
    if steps < 2:
        raise ValueError(
            f"{args.seconds:.0f} seconds are too short for {count} runs: a step of all takes "
            f"{seeds * step:.2f} s, setting up {seeds * setting_up:.0f} s and scoring "
            f"{count * scoring:.0f} s"
        )
    return steps


def now() -> float:
    """Wait for the GPU, if there is one, and return the time."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def print_nothing(step: int) -> None:
    """Print nothing about a step."""


def groups(planned: Sequence[Planned]) -> list[list[Planned]]:
    """Return the groups of runs that train at once: on a GPU all, on a CPU each alone."""
    if torch.cuda.is_available():
        return [list(planned)] if planned else []
    return [[item] for item in planned]


def set_up(group: Sequence[Planned]) -> list[PairedRun]:
    """Build the runs of a group; a run that was stopped resumes from its last checkpoint."""
    shared: dict[str, Any] = {}
    runs = []
    for item in group:
        item.kept.note()  # marks the folder as this run's
        item.cfg.dump(item.kept.work_dir / "config.py")
        cfg = copy.deepcopy(item.cfg)
        if checkpoint := latest_complete_checkpoint(item.kept.work_dir):
            cfg.update(load_from=checkpoint, resume=True)
        runs.append(PairedRun(cfg, shared))
    return runs


def train_group(
    group: Sequence[Planned], steps: int, rarest: int, tell: Callable[..., None]
) -> None:
    """Train and score the runs of a group, and note their scores; ``tell`` is Progress.tell."""
    wall, cpu = time.perf_counter(), time.process_time()
    runs = set_up(group)
    told = min(run.steps for run in runs)
    eager: list[PairedRun] = []
    label = f"{group[0].label}, seed {group[0].kept.seed}" if len(group) == 1 else "all runs"

    def after_step(step: int) -> None:
        nonlocal told
        for item, run in zip(group, runs, strict=True):
            if run.eager_because and run not in eager:
                eager.append(run)
                tell(f"{item.label} cannot be captured and stays eager: {run.eager_because}")
        if step % max(1, steps // 20) and step != steps:
            return
        for item, run in zip(group, runs, strict=True):
            with (item.kept.work_dir / "curve.jsonl").open("a") as file:
                file.write(json.dumps({"step": step, **inside(run)}) + "\n")
        losses = " ".join(f"{run.loss.item():.2f}" for run in runs)
        tell(f"{label}: step {step} of {steps}, loss {losses}", step - told)
        told = step

    train(runs, steps, after_step)
    for item, run in zip(group, runs, strict=True):
        try:
            scores = measured(run, rarest)
        except FloatingPointError as error:  # the other runs go on
            tell(f"{item.label}, seed {item.kept.seed} has diverged: {error}")
            scores = dict.fromkeys(score_names(rarest), math.nan)
        scores["seconds"] = (time.perf_counter() - wall) / len(group)
        scores["cpu_seconds"] = (time.process_time() - cpu) / len(group)
        item.kept.note(scores)
        tell(f"{item.label}, seed {item.kept.seed}: accuracy {scores['accuracy/all']:.2f}")


class Progress:
    """Prints lines with the time that is left, estimated from the steps so far."""

    def __init__(self, steps: int) -> None:
        self.left, self.taken, self.began = steps, 0, time.perf_counter()

    def tell(self, text: str, taken: int = 0) -> None:
        """Print a line; ``taken`` steps have been taken since the last one."""
        self.taken, self.left = self.taken + taken, self.left - taken
        passed = time.perf_counter() - self.began
        rest = f", {passed * self.left / self.taken / 60:.1f} min left" if self.taken else ""
        print(f"[{passed / 60:.1f} min{rest}] {text}", flush=True)


def length(args: argparse.Namespace, began: float) -> int:
    """Return the number of steps; a number that was fitted to --seconds is kept in --out.

    Raises:
        ValueError: --out holds runs that were fitted to another time; --epochs are too few.
    """
    if args.seconds is None:
        words = next(iter(next(iter(args.experiments.values())).values()))
        images = len(training_set(run_config(words, args, 2, 0)))
        steps = round(args.epochs * images / args.batch)
        if steps < 2:
            raise ValueError(f"--epochs {args.epochs} are {steps} steps, expected at least two")
        return steps
    file = args.out / "fitted.json"
    if not file.exists():
        fitted = {"seconds": args.seconds, "steps": fitted_steps(args, began)}
        write_json(file, fitted)
    fitted = json.loads(file.read_text())
    if fitted["seconds"] != args.seconds:
        raise ValueError(
            f"{args.out} holds runs for --seconds {fitted['seconds']:.0f}, got "
            f"{args.seconds:.0f}: give that, or another --out"
        )
    return fitted["steps"]


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ``experiments`` holds each experiment's labels and their words."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", nargs="+", choices=PRESETS, default=[])
    parser.add_argument(
        "--run", nargs="+", action="append", default=[], metavar="WORD",
        help="LABEL CONFIG [KEY=VALUE ...]; the others are compared with the first",
    )  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--epochs", type=float, default=25)
    parser.add_argument("--seconds", type=float, help="as many steps as fit, in place of --epochs")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, help="shrink images to this, 16 for a CPU")
    parser.add_argument("--depth", type=int, help="of the ResNet, in place of the config's")
    parser.add_argument(
        "--channels-last",
        action="store_true",
        help="store images channels-last on a CPU, too: faster at 32x32",
    )
    parser.add_argument("--rarest", type=int, default=2, help="number of rarest classes to score")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, help="options for all configs"
    )
    parser.add_argument("--data", type=Path, default=Path("data/cifar"))
    parser.add_argument("--workers", type=int, default=4 if torch.cuda.is_available() else 0)
    parser.add_argument("--out", type=Path, default=Path("work_dirs/cifar_lt"))
    args = parser.parse_args(arguments)
    names = [name for preset in args.preset for name in PRESETS[preset]]
    args.experiments = {name: EXPERIMENTS[name] for name in names}
    if any(len(words) < 2 for words in args.run):
        parser.error("--run takes a label and a config")
    if args.run:
        args.experiments["runs"] = {label: words for label, *words in args.run}
        if len(args.experiments["runs"]) < len(args.run):
            parser.error("--run needs a label of its own for each")
    if not args.experiments:
        parser.error("give --preset or --run")
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the runs that are missing, and report all runs."""
    began = now()
    args = parsed(arguments)
    try:
        claim_folder(args.out)
        steps = length(args, began)
        planned = plan(args, steps, args.out)
        waiting = groups([item for item in planned if item.kept.result() is None])
    except (BlockingIOError, FileNotFoundError, ValueError) as error:
        sys.exit(f"cifar_lt.py: {error}")
    progress = Progress(steps * len(waiting))
    ended = len(planned) - sum(map(len, waiting))
    progress.tell(f"{len(planned)} runs of {steps} steps, {ended} of them ended earlier")
    opening = f"{steps} steps of {args.batch} images, {machine()}. Accuracy in percent: mean ± "
    opening += "standard deviation of single runs; differences ± standard error, paired by seed."
    for group in waiting:
        try:
            train_group(group, steps, args.rarest, progress.tell)
        except ValueError as error:
            sys.exit(f"cifar_lt.py: {error}")
        report(args.experiments, scores_of(planned), opening, args.rarest, args.out)
    print(report(args.experiments, scores_of(planned), opening, args.rarest, args.out))


def scores_of(planned: Sequence[Planned]) -> Results:
    """Return the scores of the runs that have ended, by label and seed."""
    results: Results = {}
    for item in planned:
        if scores := item.kept.result():
            results.setdefault(item.label, {})[item.kept.seed] = scores
    return results


if __name__ == "__main__":
    main()
