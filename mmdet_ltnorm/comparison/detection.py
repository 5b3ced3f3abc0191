"""AP and APr/c/f of any weighting of the test images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmdet_ltnorm.class_groups import RARE_FIRST
from mmdet_ltnorm.comparison.weighted_ap import WeightedAP
from mmdet_ltnorm.evaluation.lvis import PER_IMAGE
from mmdet_ltnorm.evaluation.lvis_annotations import LVISAnnotations
from mmdet_ltnorm.evaluation.lvis_matches import ClassMatches, lvis_matches
from mmdet_ltnorm.evaluation.lvis_results import read_lvis_results
from mmdet_ltnorm.results.groups import group_means


class DetectionScores:
    """``LTLVISMetric``'s AP and APr/c/f, of matches by category.

    Args:
        frequency: r, c or f of each category, in the order of the matches.
        images: number of images.
    """

    def __init__(
        self, matches: Sequence[ClassMatches], frequency: Sequence[str], images: int
    ) -> None:
        self._of_class = [WeightedAP(each, images) for each in matches]
        letters = np.array(frequency)
        groups = {f"AP{letter}": np.flatnonzero(letters == letter) for letter in RARE_FIRST}
        self._groups = {"AP": np.arange(len(letters)), **groups}

    def __call__(self, weights: NDArray[np.int32]) -> dict[str, NDArray[np.float64]]:
        """Return percentages for each row of weights, means over the classes with objects there."""
        by_image = np.ascontiguousarray(weights.T)
        scores = np.stack([of_class(by_image) for of_class in self._of_class], axis=1)
        return group_means(100 * scores, self._groups)


def detection_scores(file: str | Path, annotations: LVISAnnotations) -> dict[str, DetectionScores]:
    """Match a file of lvis-api's results to the annotations, for ``box`` and ``mask``."""
    found = read_lvis_results(file, annotations, PER_IMAGE)
    if "segm" in found:
        annotations.check_masks()
    truth = annotations.json_bytes(annotations.size)
    by_id = np.argsort(annotations.category_ids)
    frequency = [annotations.categories[label]["frequency"] for label in by_id]
    return {
        {"bbox": "box", "segm": "mask"}[kind]: DetectionScores(
            lvis_matches(truth, images, annotations.category_ids, kind), frequency, len(images)
        )
        for kind, images in found.items()
    }
