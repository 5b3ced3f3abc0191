"""LVIS's matches of detections and objects of each class, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdet_ltnorm.evaluation.detections import ImageDetections
from mmdet_ltnorm.evaluation.lvis_engines import vernier_cells

THRESHOLDS = 10  # of the IoU, 0.5 to 0.95


@dataclass(slots=True)
class ClassMatches:
    """The N detections of a class that may count, best first, and its G objects.

    Shapes: ``hit`` (T, N), at each IoU threshold whether the detection matches an object; ``image``
    (N,) and ``object_image`` (G,), the places of their images; ``exhaustive`` (N,), whether the
    class was searched exhaustively there, so that detections without a match are false. Where it
    was not, they do not count. Those after the last hit do not matter, and are left out.
    """

    hit: NDArray[np.bool_]
    image: NDArray[np.int64]
    exhaustive: NDArray[np.bool_]
    object_image: NDArray[np.int64]


def lvis_matches(
    gt_json: bytes,
    images: Sequence[ImageDetections],
    category_ids: NDArray[np.int64],
    iou_type: str,
) -> list[ClassMatches]:
    """Match the counted detections of ``images`` to objects once, for each category by id.

    ``images`` must be all of ``gt_json``, by id.
    """
    cells = vernier_cells(gt_json, images, category_ids, iou_type)
    return [
        _of_class(cells[start : start + len(images)]) for start in range(0, len(cells), len(images))
    ]


def _of_class(cells: Sequence[dict[str, Any] | None]) -> ClassMatches:
    found = [(place, cell) for place, cell in enumerate(cells) if cell is not None]
    places = np.array([place for place, _ in found], dtype=np.int64)
    if not found:
        none = np.zeros(0, dtype=bool)
        return ClassMatches(np.zeros((THRESHOLDS, 0), dtype=bool), places, none, places)
    score = np.concatenate([cell["dtScores"] for _, cell in found])
    # Stable: of equal scores, the earlier image's comes first, as in lvis-api.
    order = np.argsort(-score, kind="stable")
    hit = np.concatenate([cell["dtMatches"] for _, cell in found], axis=1)[:, order] > 0
    ignored = np.concatenate([cell["dtIgnore"] for _, cell in found], axis=1)[:, order] > 0
    detections = [len(cell["dtScores"]) for _, cell in found]
    objects = [len(cell["gtIds"]) for _, cell in found]
    end = np.flatnonzero(hit.any(0)).max(initial=-1) + 1
    return ClassMatches(
        hit[:, :end],
        np.repeat(places, detections)[order][:end],
        ~ignored[:, :end].any(0),
        np.repeat(places, objects),
    )
