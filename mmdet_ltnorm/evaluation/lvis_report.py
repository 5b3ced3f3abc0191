"""Scores from LVIS's precision and recall tables, for a log, a file and a table."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from terminaltables import AsciiTable

from mmdet_ltnorm.class_groups import RARE_FIRST
from mmdet_ltnorm.evaluation.lvis_engines import Tables
from mmdet_ltnorm.writing import write_json, write_text

_AREAS = "sml"  # small, medium, large
_COLUMNS = ["AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf", "AR@300"]


def average_precision(tables: Tables, frequency: Sequence[str]) -> dict[str, float]:
    """Return AP, AP50, AP75, APs/m/l and APr/c/f; ``frequency`` is r, c or f of each category.

    Each is a mean over the classes that have objects of that kind, as in lvis-api, so AP is no mean
    of the others. Without any such class it is NaN.
    """
    values = tables.precision
    group = np.array(frequency)
    parts = {"AP": values[..., 0], "AP50": values[0, ..., 0], "AP75": values[5, ..., 0]}
    parts |= {f"AP{area}": values[..., place] for place, area in enumerate(_AREAS, start=1)}
    parts |= {f"AP{name}": values[:, :, group == name, 0] for name in RARE_FIRST}
    return {name: _mean_of_known(part) for name, part in parts.items()}


def average_recall(tables: Tables) -> dict[str, float]:
    """Return AR and ARs/m/l at 300 detections an image, averaged over classes as AP is."""
    return {
        f"AR{area}@300": _mean_of_known(tables.recall[..., place])
        for place, area in enumerate(["", *_AREAS])
    }


def class_scores(tables: Tables, row: int) -> dict[str, float]:
    """Return AP, AP50 and AR of one category, the ``row``-th by id."""
    precision, recall = tables.precision[:, :, row, 0], tables.recall[:, row, 0]
    return {
        "AP": _mean_of_known(precision),
        "AP50": _mean_of_known(precision[0]),
        "AR": _mean_of_known(recall),
    }


def _mean_of_known(values: NDArray[np.float64]) -> float:
    known = values[values > -1]
    return float(np.mean(known)) if known.size else math.nan


def score_table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Draw one row for each key of ``scores``, in percent; unknown scores are dashes."""
    rows = [["", *_COLUMNS]]
    for name, row in scores.items():
        cells = [row.get(column, math.nan) for column in _COLUMNS]
        rows.append([name, *("-" if math.isnan(cell) else f"{cell:.2%}"[:-1] for cell in cells)])
    return AsciiTable(rows).table


def write_classes(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the rows as JSON or CSV, by the suffix; unknown scores are null or empty."""
    if path.suffix == ".json":
        write_json(path, rows)
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if cell != cell else cell for key, cell in row.items()})
    write_text(path, text.getvalue())
