"""Two files of results, and the table of their differences."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdet_ltnorm.comparison.bootstrap import Difference, paired_bootstrap
from mmdet_ltnorm.comparison.classification import accuracy_scores
from mmdet_ltnorm.comparison.detection import detection_scores
from mmdet_ltnorm.evaluation.lvis_annotations import LVISAnnotations
from mmdet_ltnorm.reading import read_json
from mmdet_ltnorm.results.tables import markdown_table


def compare_files(
    first: str | Path, second: str | Path, ann_file: str | None = None, resamples: int = 1000
) -> dict[str, Difference]:
    """Return the differences of the second file's scores from the first's.

    Args:
        first, second: files that ``GroupAccuracy`` and ``LTLVISMetric`` write with
            ``results_file``, or detections in lvis-api's results format.
        ann_file: LVIS's annotations, which detections are compared with. All its images count.

    Raises:
        ValueError: the files do not fit together, or the annotations are missing.
    """
    names = Path(first), Path(second)
    lists = [_starts_with_list(name) for name in names]
    if lists[0] != lists[1]:
        raise ValueError(f"{first} and {second}: one has detections, the other classified samples")
    if not lists[0]:
        *scores, samples = accuracy_scores(_content(names[0]), _content(names[1]), names)
        return paired_bootstrap(*scores, samples, resamples)
    if ann_file is None:
        raise ValueError("detections are compared with ground truth: give --ann ANNOTATIONS.json")
    annotations = LVISAnnotations(ann_file)
    one, other = (detection_scores(name, annotations) for name in names)
    kinds = [kind for kind in one if kind in other]
    if not kinds:
        raise ValueError(f"{first} has only {', '.join(one)}, {second} only {', '.join(other)}")
    return {
        f"{kind} {name}": difference
        for kind in kinds
        for name, difference in paired_bootstrap(
            one[kind], other[kind], len(annotations.size), resamples
        ).items()
    }


def differences_table(differences: Mapping[str, Difference]) -> str:
    """Return a Markdown table of both models, the difference, its interval and the verdict."""
    rows = [
        [
            name,
            _number(each.first, ".1f"),
            _number(each.second, ".1f"),
            _number(each.estimate, "+.2f"),
            f"{_number(each.low, '+.2f')} to {_number(each.high, '+.2f')}",
            each.words(),
        ]
        for name, each in differences.items()
    ]
    return markdown_table(["", "A", "B", "B − A", "95 % interval", ""], rows)


def _number(value: float, form: str) -> str:
    return "n/a" if math.isnan(value) else f"{value:{form}}"


def _content(file: Path) -> dict[str, Any]:
    content = read_json(file)
    if not isinstance(content, dict):
        raise ValueError(f"{file} is no results_file of GroupAccuracy: expected a JSON object")
    return content


def _starts_with_list(file: Path) -> bool:
    """Tell lists of detections from GroupAccuracy's files, which are objects."""
    with file.open("rb") as opened:
        return opened.read(64).lstrip()[:1] == b"["
