"""Group accuracy of any weighting of the test samples."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdet_ltnorm.class_groups import class_groups
from mmdet_ltnorm.results.groups import class_means, group_means

FIELDS = ("train_samples", "index", "label", "rank")


class AccuracyScores:
    """``GroupAccuracy``'s scores of all samples and of the groups, from its results files.

    Args:
        label: Class of each sample, (N,).
        right: Whether the model's first choice was right, (N,).
        train_samples: training samples of each class, (K,), which make the groups.
    """

    def __init__(
        self, label: NDArray[np.int64], right: NDArray[np.bool_], train_samples: NDArray[np.int64]
    ) -> None:
        self._label, self._right = label, right
        self._classes, self._groups = len(train_samples), class_groups(train_samples)

    def __call__(self, weights: NDArray[np.int32]) -> dict[str, NDArray[np.float64]]:
        """Return percentages for each row of weights; NaN for a group without weight."""
        tested = self._by_class(weights)
        hits = self._by_class(weights * self._right)
        everything = 100 * hits.sum(1) / tested.sum(1)
        return {"accuracy": everything, **group_means(class_means(hits, tested), self._groups)}

    def _by_class(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        return np.stack([np.bincount(self._label, row, self._classes) for row in weights])


def accuracy_scores(
    first: Mapping[str, Any], second: Mapping[str, Any], names: tuple[Path, Path]
) -> tuple[AccuracyScores, AccuracyScores, int]:
    """Pair the contents of two ``results_file`` of ``GroupAccuracy``; also return the samples.

    Raises:
        ValueError: one is no such file, or their samples or class counts differ.
    """
    for content, name in zip((first, second), names, strict=True):
        if missing := [field for field in FIELDS if field not in content]:
            raise ValueError(
                f"{name} is no results_file of GroupAccuracy: it has no {', '.join(missing)}"
            )
    for field in ("classes", "train_samples", "index", "label"):
        one, other = first.get(field), second.get(field)
        # Files of earlier versions do not name the classes.
        if one != other and not (field == "classes" and None in (one, other)):
            raise ValueError(
                f"{names[0]} and {names[1]} differ in {field!r}: a paired comparison needs the "
                "same test samples, classes and class counts"
            )
    label, counts = np.array(first["label"]), np.array(first["train_samples"])
    scores = [
        AccuracyScores(label, np.array(each["rank"]) == 0, counts) for each in (first, second)
    ]
    return scores[0], scores[1], len(label)
