"""The style of all pictures, and the files of numbers beside them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_ltnorm.lettering import drawable, names_as_text
from mmdet_ltnorm.results.scores import estimate
from mmdet_ltnorm.writing import replacing, write_json

# The colours of runs, the baseline's first; groups of classes have others. They are Okabe and Ito's
# and Tol's wine, which colour-blind eyes can tell apart; line styles do so in greyscale.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#CC79A7", "#882255")
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "^", "s", "D")
# The widths of a column and a page of a two-column paper, in inches, for print at full size.
COLUMN, PAGE = 3.4, 7.0
DPI = 300
STYLE = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1,
    "lines.markersize": 3,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


@contextmanager
def picture(path: str | Path, height: float, width: float = COLUMN) -> Iterator[Any]:
    """Yield an empty matplotlib figure, sizes in inches, and write it when the block ends."""
    import matplotlib
    from matplotlib.figure import Figure

    with names_as_text(), matplotlib.rc_context(STYLE):
        # A Figure of its own, without pyplot: no window system and no global state is touched.
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        with replacing(path) as partial:
            figure.savefig(partial, dpi=DPI)


_LABELS: ContextVar[tuple[str, ...]] = ContextVar("labels", default=())


@contextmanager
def one_look_each(labels: Iterable[str]) -> Iterator[None]:
    """Let every label keep its look in all pictures of the block, in those of a few, too."""
    token = _LABELS.set(tuple(labels))
    try:
        yield
    finally:
        _LABELS.reset(token)


def line_looks(labels: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each label with the look of its line in the picture that is being drawn."""
    labels = list(labels)
    known = _LABELS.get() if set(labels) <= set(_LABELS.get()) else labels
    looks = dict(zip(known, zip(cycle(COLOURS), cycle(STYLES), strict=False), strict=False))
    for label in labels:
        colour, style = looks[label]
        yield label, dict(color=colour, linestyle=style, label=drawable(label))


def draw_seeds(axes: Any, seeds: Sequence[Sequence[tuple[float, float]]], look: Any) -> None:
    """Draw the mean of the seeds' points, and as a band its standard error."""
    values: dict[float, list[float]] = {}
    for points in seeds:
        for x, y in dict(points).items():
            values.setdefault(x, []).append(y)
    found = [(x, *estimate(values[x]).of_mean()[:2]) for x in sorted(values)]
    if not found:
        return
    places, mean, error = np.array(found).T
    axes.plot(places, mean, **look)
    if not np.isnan(error).all():
        band = dict(color=look["color"], alpha=0.25, linewidth=0)
        axes.fill_between(places, mean - error, mean + error, **band)


def shared_legend(figure: Any, columns: int = 2) -> None:
    """Put one legend of all axes above the whole figure, where it covers nothing."""
    pairs = (zip(*axes.get_legend_handles_labels(), strict=True) for axes in figure.axes)
    handles = {label: handle for pair in pairs for handle, label in pair}
    columns = legend_columns(
        list(handles), columns, figure.get_figwidth(), STYLE["legend.fontsize"]
    )
    layout = dict(ncols=columns, columnspacing=1, handletextpad=0.4)
    figure.legend(handles.values(), handles, loc="outside upper center", **layout)


def legend_columns(labels: Sequence[str], most: int, inches: float, points: float) -> int:
    """Return how many columns of a legend fit into a width: letters are about 0.6 of their size."""
    longest = 6 + max(map(len, labels), default=0)
    return max(1, min(most, len(labels), int(72 * inches / (0.6 * points) / longest)))


def annotate_cells(
    axes: Any, values: np.ndarray, form: str = ".2f", size: float = 5.5, least: float = -math.inf
) -> None:
    """Write each value of a matrix that ``imshow`` has drawn into its cell, black or white.

    Args:
        least: smaller values are left out.
    """
    image = axes.images[0]
    for (row, column), value in np.ndenumerate(values):
        if value < least:
            continue
        dark = image.norm(value) < 0.5
        text = "n/a" if math.isnan(value) else f"{value:{form}}"
        colour = "white" if dark and not math.isnan(value) else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)


def save_numbers(numbers: Mapping[str, Mapping[str, Any]], stem: str | Path) -> None:
    """Write a picture's numbers: arrays to STEM.npz as ``label/name``, the rest to STEM.json."""
    arrays, rest = {}, {}
    for label, entries in numbers.items():
        for name, value in entries.items():
            if isinstance(value, np.ndarray):
                arrays[f"{label}/{name}"] = value
            else:
                rest.setdefault(label, {})[name] = value
    if arrays:
        with replacing(f"{stem}.npz") as partial:
            np.savez_compressed(partial, **arrays)
    if rest:
        write_json(f"{stem}.json", rest)
