"""The score of each class against its number of training samples."""

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmdet_ltnorm.class_groups import FREQUENCIES, SHOTS
from mmdet_ltnorm.reading import read_json, read_text
from mmdet_ltnorm.results.groups import Groups, class_means, group_colours, group_means
from mmdet_ltnorm.results.pictures import MARKERS, line_looks, picture, shared_legend
from mmdet_ltnorm.results.scores import over_seeds
from mmdet_ltnorm.results.tables import Table

MEASURES = {  # by column: name, factor to percent, columns of the group and the count, groups
    "accuracy": ("accuracy", 1, "group", "train_samples", dict(zip(SHOTS, SHOTS, strict=True))),
    "segm_AP": ("mask AP", 100, "frequency", "train_images", FREQUENCIES),
    "bbox_AP": ("box AP", 100, "frequency", "train_images", FREQUENCIES),
}
TESTED = {"train_samples": "test_samples", "train_images": "objects"}  # columns of the two metrics


class ClassScores(NamedTuple):
    """Percentages (K,), NaN for untested classes, with training counts and groups."""

    score: NDArray[np.float64]
    counts: NDArray[np.int64]
    groups: Groups
    measure: str
    # The name of each class and its number of tested samples or objects, where they are known.
    tested: tuple[tuple[str, str], ...] = ()

    @property
    def counted(self) -> str:
        """The name of what the counts number, for axes and tables."""
        return "training samples" if self.measure == "accuracy" else "training images"


def scores_from_confusion(
    matrix: NDArray[np.int64], counts: NDArray[np.int64], groups: Groups, measure: str = "accuracy"
) -> ClassScores:
    """Return the accuracy of each class."""
    return ClassScores(class_means(matrix.diagonal(), matrix.sum(1)), counts, groups, measure)


def read_class_scores(file: str | Path) -> ClassScores:
    """Read the ``per_class_file`` of ``GroupAccuracy`` or ``LTLVISMetric``, mask AP before box AP.

    Raises:
        ValueError: the file has none of their columns, or a cell that is no number.
    """
    path = Path(file)
    text = read_text(path)
    # The first character tells JSON from CSV, whatever the file's name.
    is_json = text.lstrip()[:1] in ("[", "{")
    rows = read_json(path) if is_json else list(csv.DictReader(io.StringIO(text, newline="")))
    is_table = isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)
    columns = list(rows[0]) if is_table else []
    found = [name for name in MEASURES if name in columns]
    if not found:
        raise ValueError(
            f"{path} is no per_class_file of GroupAccuracy or LTLVISMetric: expected a column "
            f"{', '.join(MEASURES)}, got {', '.join(columns) or 'no rows'}"
        )
    measure, scale, group, count, letters = MEASURES[found[0]]
    if missing := {group, count} - set(columns):
        raise ValueError(f"{path} has no column {' and '.join(sorted(missing))}")
    score, counts, members = [], [], []
    for number, row in enumerate(rows, 1):
        try:
            score.append(np.nan if row[found[0]] in ("", None) else float(row[found[0]]))
            counts.append(int(row[count]))
            members.append(row[group])
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{path}: class number {number} has {row!r:.200}, expected numbers as {found[0]} "
                f"and {count}, and a {group}: was the file saved by a spreadsheet?"
            ) from None
    groups = {
        name: np.flatnonzero([member == letter for member in members])
        for name, letter in letters.items()
    }
    tested = tuple((str(row.get("name")), str(row.get(TESTED[count]))) for row in rows)
    return ClassScores(scale * np.array(score), np.array(counts), groups, measure, tested)


def check_same_classes(models: Mapping[str, ClassScores]) -> None:
    """Check that the scores are of the same classes.

    Raises:
        ValueError: they are of other classes, other training sets or other measures.
    """
    first, *others = models
    for label in others:
        one, other = models[first], models[label]
        parts = {
            "measures": one.measure != other.measure,
            "classes or test sets": one.tested != other.tested,
            "training data": not np.array_equal(one.counts, other.counts),
        }
        if differing := [name for name, differs in parts.items() if differs]:
            raise ValueError(
                f"{first} and {label} are scores of other {' and '.join(differing)}, which are not "
                "compared: give the files of one data set at a time"
            )


def class_scores_table(models: Mapping[str, Sequence[ClassScores]]) -> Table:
    """Return a table of each group's mean over its classes, averaged over seeds."""
    first = next(iter(models.values()))[0]
    filled = {name: classes for name, classes in first.groups.items() if len(classes)}
    groups = {"all": np.arange(len(first.score)), **filled}
    rows = []
    for label, seeds in models.items():
        found = [group_means(each.score, groups) for each in seeds]
        rows.append([label, *(over_seeds([float(seed[n]) for seed in found]) for n in groups)])
    return Table([f"mean {first.measure}", "all classes", *filled], rows)


def draw_class_scores(models: Mapping[str, Sequence[ClassScores]], out: Path) -> None:
    """Draw the score of each class, and the mean of each group as a bar over its classes.

    Scores are averaged over several seeds; those of classes then have their standard errors.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    with picture(out, 2.5) as figure:
        axes = figure.subplots()
        for (label, look), marker in zip(line_looks(models), cycle(MARKERS), strict=False):
            _, counts, groups, measure, _ = models[label][0]
            seeds = np.stack([each.score for each in models[label]])
            score = seeds.mean(0)
            places = np.maximum(counts, 0.5)  # a class without training samples on a log axis
            many = 0.35 if len(counts) > 100 else 0.8
            axes.plot(places, score, marker, color=look["color"], alpha=many, markeredgewidth=0)
            if len(seeds) > 1:
                error = seeds.std(0, ddof=1) / np.sqrt(len(seeds))
                bars = dict(ecolor=look["color"], elinewidth=0.6, alpha=many)
                axes.errorbar(places, score, error, linestyle="none", **bars)
            for name, mean in group_means(score, groups).items():
                if len(groups[name]):
                    ends = [places[groups[name]].min(), places[groups[name]].max()]
                    axes.plot(ends, [mean, mean], **{**look, "label": None}, linewidth=1.5)
            axes.plot([], [], marker=marker, **look)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(-3, 103)
        _mark_groups(axes, places, groups)
        axes.set_xlabel(f"{models[label][0].counted} of the class")
        axes.set_ylabel(f"{measure}, % of each class;\nlines: mean of the group")
        shared_legend(figure)


def _mark_groups(axes: Any, places: NDArray[np.float64], groups: Groups) -> None:
    """Draw lines between the groups, and their names above."""
    ranges = sorted(
        (places[classes].min(), places[classes].max(), name)
        for name, classes in groups.items()
        if len(classes)
    )
    for (_, end, _), (start, _, _) in zip(ranges, ranges[1:], strict=False):
        axes.axvline(np.sqrt(end * start), color="black", linewidth=0.6, linestyle=":")
    colours = group_colours(groups)
    for start, end, name in ranges:
        axes.text(
            np.sqrt(start * end),
            1.02,
            name,
            ha="center",
            color=colours[name],
            transform=axes.get_xaxis_transform(),
        )
