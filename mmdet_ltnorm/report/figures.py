"""The pictures of a report: curves from the logs, analyses from the checkpoints."""

import base64
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mmdet_ltnorm.analysis import commands
from mmdet_ltnorm.analysis.commands import Drawn, Findings
from mmdet_ltnorm.class_groups import FREQUENCIES, SHOTS
from mmdet_ltnorm.lettering import some
from mmdet_ltnorm.norms import CBN
from mmdet_ltnorm.report.dumped import check_harmless
from mmdet_ltnorm.report.runs import LoggedRun
from mmdet_ltnorm.results.groups import group_colours
from mmdet_ltnorm.results.pictures import COLUMN, draw_seeds, line_looks, picture, shared_legend
from mmdet_ltnorm.results.tables import Table
from mmdet_ltnorm.results.trained import Trained

Tell = Callable[[str], object]  # takes a line about what is being drawn
Runs = Mapping[str, Mapping[int, LoggedRun]]
ANALYSES = {
    "confusion": "Confusion, and accuracy by training samples",
    "gamma": "Effective γ and β",
    "features": "Features by group",
    "channels": "Channels of the tail and of the head",
    "attention": "Attention for a rare and a frequent class",
    "components": "Components of CBN",
}
# These have no mean: maps differ in their channels, and components have no order.
OF_ONE_SEED = ("attention", "components")
# By the beginning of a score's name: what it measures, and the groups by the end of the name.
SCORED = {
    "accuracy/": ("accuracy", {"all": "all", **{shot: shot for shot in SHOTS}}),
    "lvis/bbox_AP": ("box AP", {"all": "", **FREQUENCIES}),
    "lvis/segm_AP": ("mask AP", {"all": "", **FREQUENCIES}),
}


class Picture(NamedTuple):
    """A PNG as a data address, its width in columns of a paper, and what it shows."""

    address: str
    columns: float
    caption: str


class Figure(NamedTuple):
    """A titled part of the page: pictures and their text, or the reason why there are none."""

    title: str
    pictures: Sequence[Picture] = ()
    words: Sequence[str | Table] = ()
    reason: str = ""


def curves(runs: Runs) -> Iterator[Figure]:
    """Yield losses, the scores of all groups over training, and NBN's magnitude."""
    yield _drawn("Training loss", partial(_draw_loss, runs))
    for start, (measure, groups) in SCORED.items():
        names = {group: start + end for group, end in groups.items()}
        if any(len(_points(run, names["all"], "step")) > 1 for run in _all(runs)):
            yield _drawn(
                f"{measure[0].upper()}{measure[1:]} over training",
                partial(_draw_scores, runs, measure, names),
            )
    logged = {
        name: [run.work_dir for run in by_seed.values() if _has_magnitude(run)]
        for name, by_seed in runs.items()
    }
    if logged := {name: seeds for name, seeds in logged.items() if seeds}:
        yield _drawn("NBN's magnitude g", partial(commands.magnitude, logged))
    else:
        yield Figure("NBN's magnitude g", reason="no run has NBN layers whose g was logged")


def analyses(runs: Runs, tell: Tell) -> Iterator[Figure]:
    """Yield every analysis of the last checkpoints of all seeds, and tell which one is drawn."""
    models: dict[str, dict[int, Trained]] = {}
    reasons = []
    for name, by_seed in runs.items():
        for seed, run in sorted(by_seed.items()):
            try:
                models.setdefault(name, {})[seed] = _trained(run)
            except (FileNotFoundError, TypeError, ValueError) as error:
                reasons.append(str(error))
    models = {name: by_seed for name, by_seed in models.items() if by_seed}
    reason = some(dict.fromkeys(reasons))
    if not models:
        yield Figure("Pictures of the models", reason=reason)
        return
    for name, title in ANALYSES.items():
        chosen = {k: list(v.values()) for k, v in models.items()}
        if name in OF_ONE_SEED:
            chosen = dict(_smallest_seed(models, runs))
        if name == "components":
            chosen = {k: v for k, v in chosen.items() if _has_cbn(v[0])}
        if chosen:
            tell(f"drawing {title}: {sum(map(len, chosen.values()))} models")
            yield _drawn(title, partial(getattr(commands, name), chosen))
        else:
            yield Figure(title, reason="no run has CBN layers")
    if reasons:
        yield Figure("Runs that the pictures do not have", reason=reason)


def _smallest_seed(
    models: Mapping[str, Mapping[int, Trained]], runs: Runs
) -> Iterator[tuple[str, list[Trained]]]:
    """Yield one model of each config, by a name that says of which seed it is."""
    for name, by_seed in models.items():
        seed, trained = next(iter(by_seed.items()))
        yield (name if len(runs[name]) == 1 else f"{name}, seed {seed}"), [trained]


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
        inlined = [
            Picture(_address(path), drawn.width / COLUMN, drawn.caption)
            for path, drawn in pictures.items()
        ]
    return Figure(title, inlined, words)


def _address(png: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(png.read_bytes()).decode()}"


def _draw_loss(runs: Runs, out: Path) -> Findings:
    with picture(out / "loss.png", 2.2) as figure:
        axes = figure.subplots()
        for name, look in line_looks(runs):
            draw_seeds(axes, [_points(run, "loss", "iter") for run in runs[name].values()], look)
        axes.set_xlabel("iteration")
        axes.set_ylabel("training loss")
        shared_legend(figure)
    caption = f"The loss on the training samples{_of_seeds(runs)}."
    return Findings({out / "loss.png": Drawn(COLUMN, caption)}, [])


def _draw_scores(runs: Runs, measure: str, names: Mapping[str, str], out: Path) -> Findings:
    """Draw a panel for each group that has scores, whose looks the seeds of a config share."""
    shown = {
        group: name
        for group, name in names.items()
        if any(y == y for run in _all(runs) for _, y in _points(run, name, "step"))
    }
    colours = group_colours(group for group in names if group != "all")
    rows = (len(shown) + 1) // 2
    with picture(out / "scores.png", 0.5 + 1.35 * rows) as figure:
        grid = figure.subplots(rows, min(len(shown), 2), squeeze=False, sharex=True)
        for axes in grid.flat[len(shown) :]:
            axes.set_axis_off()
        for axes, (group, name) in zip(grid.flat, shown.items(), strict=False):
            for label, look in line_looks(runs):
                seeds = [_points(run, name, "step") for run in runs[label].values()]
                draw_seeds(axes, seeds, {**look, "marker": "."})
            axes.set_title(
                group if group != "all" else "all classes", color=colours.get(group, "black")
            )
            axes.set_ylim(bottom=0)
        figure.supxlabel("epoch", fontsize=7)
        figure.supylabel(f"{measure}, %", fontsize=7)
        shared_legend(figure)
    caption = f"The {measure} after each epoch that was validated{_of_seeds(runs)}."
    return Findings({out / "scores.png": Drawn(COLUMN, caption)}, [])


def _of_seeds(runs: Runs) -> str:
    several = any(len(by_seed) > 1 for by_seed in runs.values())
    return "; lines are means over the seeds, and bands their standard errors" if several else ""


def _points(run: LoggedRun, key: str, axis: str) -> list[tuple[float, float]]:
    factor = 100 if key.startswith("lvis/") else 1
    return [(r[axis], factor * r[key]) for r in run.records if key in r and axis in r]


def _all(runs: Runs) -> Iterator[LoggedRun]:
    return (run for by_seed in runs.values() for run in by_seed.values())


def _has_magnitude(run: LoggedRun) -> bool:
    return any(name.endswith("magnitude") for record in run.records for name in record)


def _has_cbn(trained: Trained) -> bool:
    return any(isinstance(module, CBN) for module in trained.model.modules())
