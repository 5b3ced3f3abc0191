"""The confusion of classes, from the most to the least frequent one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mmdet_ltnorm.analysis.capture import labelled_batches
from mmdet_ltnorm.lettering import drawable
from mmdet_ltnorm.results.groups import (
    Groups,
    checked_group,
    class_means,
    group_colours,
    group_of_class,
)
from mmdet_ltnorm.results.pictures import annotate_cells, picture

NAMED_CLASSES = 24  # more names than this cannot be read in a column,
NUMBERED_CLASSES = 12  # and in a row of more cells than this no numbers


def confusion_matrix(model: nn.Module, loader: Any) -> NDArray[np.int64]:
    """Return the numbers (K, K) of samples of class i, the row, that are predicted as class j."""
    matrix: Any = 0
    for _, logits, labels in labelled_batches(model, loader):
        classes = logits.shape[1]
        cells = (labels * classes + logits.argmax(1)).cpu().numpy()
        matrix = matrix + np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    return matrix


def most_confused_pair(
    matrix: NDArray[np.int64], groups: Groups, tail: str = "few", head: str = "many"
) -> tuple[int, int]:
    """Return the tail class and the head class of the most frequent confusion.

    Raises:
        ValueError: a group is empty.
    """
    rare, frequent = checked_group(groups, tail), checked_group(groups, head)
    rates = matrix[rare][:, frequent] / matrix[rare].sum(1, keepdims=True).clip(1)
    row, column = np.unravel_index(rates.argmax(), rates.shape)
    return int(rare[row]), int(frequent[column])


def draw_confusion(
    matrices: Mapping[str, NDArray[np.int64]],
    counts: NDArray[np.int64],
    groups: Groups,
    names: Sequence[str],
    out: Path,
    counted: str = "training samples",
) -> None:
    """Draw the rows as percentages of their class, ordered by training samples, in groups.

    Args:
        counts: training samples of each class (K,).
        counted: the name of what the counts number, for the axis.
    """
    order = np.argsort(-counts, kind="stable")
    group = group_of_class(groups).numpy()[order]
    with picture(out, 0.5 + 1.95 * len(matrices)) as figure:
        panels = figure.subplots(len(matrices), 1, squeeze=False, sharex=True)[:, 0]
        for axes, (label, matrix) in zip(panels, matrices.items(), strict=True):
            rates = class_means(matrix, matrix.sum(1, keepdims=True))[order][:, order]
            image = axes.imshow(rates, cmap="cividis", vmin=0, vmax=100)
            axes.set_title(drawable(label))
            axes.grid(False)
            if len(rates) <= NUMBERED_CLASSES:
                annotate_cells(axes, rates, ".0f", min(4.5, 50 / len(rates)), least=0.5)
            _rule_off(axes, group, list(groups))
            _name_classes(
                axes, [drawable(names[label], 24) for label in order], counts[order], counted
            )
        panels[-1].set_xlabel("predicted class")
        bar = figure.colorbar(image, ax=panels, shrink=0.6, aspect=40)
        bar.set_label("samples of the class, %")


def _rule_off(axes: Any, group: NDArray[np.int64], names: Sequence[str]) -> None:
    """Draw lines between the groups of sorted classes, and their names beside the rows."""
    for border in np.flatnonzero(np.diff(group)) + 0.5:
        axes.axhline(border, color="white", linewidth=0.6)
        axes.axvline(border, color="white", linewidth=0.6)
    beside = dict(transform=axes.get_yaxis_transform(), rotation=270, va="center", fontsize=6)
    colours = group_colours(names)
    for index in np.unique(group):
        name = names[index]
        middle = np.flatnonzero(group == index).mean()
        axes.text(1.02, middle, name, color=colours[name], **beside)


def _name_classes(axes: Any, names: Sequence[str], counts: NDArray[np.int64], counted: str) -> None:
    if len(names) > NAMED_CLASSES:
        axes.set_ylabel(f"true class, by {counted}")
        return
    places = range(len(names))
    axes.set_yticks(places, [f"{name} ({n})" for name, n in zip(names, counts, strict=True)])
    axes.set_xticks(places, names, rotation=90)
    size = min(5.5, 100 / len(names))  # the rows share about 1.5 inches
    axes.tick_params(labelsize=size, length=0)
    axes.set_ylabel(f"true class ({counted})")
