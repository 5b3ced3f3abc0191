"""The pictures of a report: curves from the logs, analyses from the checkpoints."""

import base64
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mmdet_ltnorm.analysis import commands
from mmdet_ltnorm.analysis.commands import Findings
from mmdet_ltnorm.norms import CBN
from mmdet_ltnorm.report.dumped import check_harmless
from mmdet_ltnorm.report.runs import LoggedRun, firsts
from mmdet_ltnorm.results.pictures import COLUMN, line_looks, picture, shared_legend
from mmdet_ltnorm.results.tables import Table
from mmdet_ltnorm.results.trained import Trained

Runs = Mapping[str, Mapping[int, LoggedRun]]
ANALYSES = {
    "confusion": "Confusion, and accuracy by training samples",
    "gamma": "Effective γ and β",
    "features": "Features by group",
    "channels": "Channels of the tail and of the head",
    "attention": "Attention for a rare and a frequent class",
    "components": "Components of CBN",
}


class Figure(NamedTuple):
    """A titled part of the page: pictures and their text, or the reason why there are none.

    ``pictures`` are data addresses with widths in columns of a paper.
    """

    title: str
    pictures: Sequence[tuple[str, float]] = ()
    words: Sequence[str | Table] = ()
    reason: str = ""


def curves(runs: Runs, metrics: Sequence[str]) -> Iterator[Figure]:
    """Yield losses, the scores over training if there are several, and NBN's magnitude."""
    yield _drawn("Training loss", partial(_draw, runs, "loss", "iter", "training loss"))
    for metric in metrics[:1] + metrics[-1:]:
        if any(len(_points(run, metric, "step")) > 1 for run in _all(runs)):
            yield _drawn(
                f"{metric} over training", partial(_draw, runs, metric, "step", f"{metric}, %")
            )
    logged = {
        label: run.work_dir
        for label, run in firsts(runs).items()
        if any(name.endswith("magnitude") for record in run.records for name in record)
    }
    if logged:
        yield _drawn("NBN's magnitude g", partial(commands.magnitude, logged))
    else:
        yield Figure("NBN's magnitude g", reason="no run has NBN layers whose g was logged")


def analyses(runs: Runs) -> Iterator[Figure]:
    """Yield every analysis of each config's run with the smallest seed."""
    models, reasons = {}, []
    for name, run in firsts(runs).items():
        try:
            models[name] = _trained(run)
        except (FileNotFoundError, TypeError, ValueError) as error:
            reasons.append(str(error))
    for name, title in ANALYSES.items():
        chosen = models
        if name == "components":
            chosen = {k: v for k, v in models.items() if _has_cbn(v)}
        if chosen:
            yield _drawn(title, partial(getattr(commands, name), chosen))
        else:
            yield Figure(title, reason="no run has CBN layers" if models else "; ".join(reasons))


def _trained(run: LoggedRun) -> Trained:
    if run.checkpoint is None:
        raise FileNotFoundError(f"{run.work_dir} has no checkpoint")
    check_harmless(run.cfg)
    return Trained(run.cfg, run.checkpoint)


def _drawn(title: str, draw: Callable[[Path], Findings]) -> Figure:
    """Draw into a folder for a moment, and keep the pictures; say why if it cannot be drawn."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            pictures, words = draw(Path(folder))
        except (FileNotFoundError, TypeError, ValueError) as error:
            return Figure(title, reason=str(error))
        inlined = [(_address(path), width / COLUMN) for path, width in pictures.items()]
    return Figure(title, inlined, words)


def _address(png: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(png.read_bytes()).decode()}"


def _draw(runs: Runs, key: str, axis: str, label: str, out: Path) -> Findings:
    """Draw a logged number of all runs; the seeds of a config share its look."""
    factor = 100 if key.startswith("lvis/") else 1
    with picture(out / "curves.png", 2.2) as figure:
        axes = figure.subplots()
        for name, look in line_looks(runs):
            for index, run in enumerate(runs[name].values()):
                points = [(x, factor * y) for x, y in _points(run, key, axis)]
                if points:
                    style = {**look, "label": None if index else look["label"], "linewidth": 0.8}
                    axes.plot(*zip(*points, strict=True), **style)
        axes.set_xlabel({"iter": "iteration", "step": "epoch"}[axis])
        axes.set_ylabel(label)
        shared_legend(figure)
    return Findings({out / "curves.png": COLUMN}, [])


def _points(run: LoggedRun, key: str, axis: str) -> list[tuple[float, float]]:
    return [(r[axis], r[key]) for r in run.records if key in r and axis in r]


def _all(runs: Runs) -> Iterator[LoggedRun]:
    return (run for by_seed in runs.values() for run in by_seed.values())


def _has_cbn(trained: Trained) -> bool:
    return any(isinstance(module, CBN) for module in trained.model.modules())
