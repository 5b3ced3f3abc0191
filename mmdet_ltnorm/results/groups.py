"""The groups of classes in pictures and tables."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmdet_ltnorm.class_groups import FREQUENCIES, GROUP_COLOURS, RARE_FIRST, SHOTS, class_groups
from mmdet_ltnorm.data.wrapped import class_counts, dataset_parts, training_set
from mmdet_ltnorm.reading import read_json

Groups = Mapping[str, NDArray[np.int64]]  # the classes of each group
# The names of the scores by group of GroupAccuracy and LTLVISMetric.
ACCURACIES = [f"accuracy/{group}" for group in ("all", *SHOTS)]
LVIS_APS = [f"lvis/{kind}_AP{group}" for kind in ("bbox", "segm") for group in ("", *RARE_FIRST)]


def counts_and_groups(cfg: Mapping[str, Any], dataset: Any) -> tuple[NDArray[np.int64], Groups]:
    """Return the training samples of each class of a test set, and the groups they make.

    A detector's are training images. With LVIS's annotations they and the frequency groups are
    read from the test set's annotation file, else they are counted in the training set and make
    many-, medium- and few-shot groups.
    """
    categories = _categories(next(dataset_parts(dataset)))
    if categories and all("frequency" in category for category in categories):
        letters = np.array([category["frequency"] for category in categories])
        counts = np.array([category["image_count"] for category in categories])
        return counts, {name: np.flatnonzero(letters == f) for name, f in FREQUENCIES.items()}
    counts = class_counts(training_set(cfg))
    return np.array(counts), class_groups(counts)


def _categories(dataset: Any) -> list[dict[str, Any]]:
    """Return the categories of a detector's annotation file in the order of the labels."""
    if not hasattr(dataset, "cat_ids"):
        return []
    by_id = {category["id"]: category for category in read_json(dataset.ann_file)["categories"]}
    return [by_id[category_id] for category_id in dataset.cat_ids]


def group_colours(groups: Iterable[str]) -> dict[str, str]:
    """Return the colour of each group, from the most to the least frequent one."""
    return dict(zip(groups, GROUP_COLOURS, strict=False))


def group_of_class(groups: Groups) -> torch.Tensor:
    """Return the index of each class's group, (K,)."""
    table = torch.empty(sum(map(len, groups.values())), dtype=torch.int64)
    for index, classes in enumerate(groups.values()):
        table[torch.from_numpy(classes)] = index
    return table


def class_means(hits: NDArray[np.int64], tested: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the percentage of hits (..., K) among the tested of each class; NaN without any."""
    return 100 * hits / np.where(tested > 0, tested, np.nan)


def group_means(of_class: NDArray[np.float64], groups: Groups) -> dict[str, NDArray[np.float64]]:
    """Return the mean over the tested classes of each group, (..., K) to (...); NaN without any."""
    means = {}
    for name, classes in groups.items():
        own = of_class[..., classes]
        tested = (~np.isnan(own)).sum(-1)
        means[name] = np.nansum(own, -1) / np.where(tested > 0, tested, np.nan)
    return means


def tail_and_head(groups: Groups) -> tuple[str, str]:
    """Return the least and the most frequent group that has classes.

    Raises:
        ValueError: there is only one.
    """
    filled = [name for name, classes in groups.items() if len(classes)]
    if len(filled) < 2:
        raise ValueError(f"expected classes in two groups to compare, got all in {filled[0]!r}")
    return filled[-1], filled[0]


def checked_group(groups: Groups, name: str) -> NDArray[np.int64]:
    """Return the classes of a group.

    Raises:
        ValueError: there is no such group, or no class in it; the message lists those there are.
    """
    if name not in groups or not len(groups[name]):
        sizes = ", ".join(f"{other} ({len(classes)})" for other, classes in groups.items())
        raise ValueError(f"no class is in a group {name!r}; the groups and their classes: {sizes}")
    return groups[name]
