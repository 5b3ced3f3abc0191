"""The classes of a long-tailed data set, by how often the training set shows them."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import DATASETS
from numpy.typing import NDArray

MANY = 100  # A class with more training samples than this is a many-shot class,
FEW = 20  # and one with fewer than this a few-shot class; both limits themselves are medium.


def class_groups(counts: Sequence[int]) -> dict[str, NDArray[np.int64]]:
    """Return the indices of the many- (> 100), medium- (20 to 100) and few-shot (< 20) classes.

    ``counts`` holds the training samples of each class; a class without any is a few-shot class.
    A group may be empty. NBN paper, Section IV-B; CBN paper, Section 4.3.

    Raises:
        ValueError: ``counts`` is not a list of non-negative integers with a positive one.
    """
    counts = checked_counts(counts)
    return {
        "many": np.flatnonzero(counts > MANY),
        "medium": np.flatnonzero((counts >= FEW) & (counts <= MANY)),
        "few": np.flatnonzero(counts < FEW),
    }


def checked_counts(counts: Sequence[int]) -> NDArray[np.int64]:
    """Return class counts as an array, refusing what cannot be counts of a training set."""
    array = np.asarray(counts)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array < 0).any() or not array.any():
        raise ValueError(
            "class counts must be the number of training samples of each class, integers >= 0 "
            f"and not all 0, got {counts!r}"
        )
    return array.astype(np.int64)


def image_counts(ann_file: str | Path) -> tuple[NDArray[np.int64], int]:
    """Return each category's number of images in a file of LVIS's format, and that of all images.

    The categories' are their ``image_count``, in the order of the file, which is that of mmdet's
    labels. All images are those with an annotation, of which none is kept while the file is read.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or its categories have no counts.
    """
    annotated = set()

    def without_annotations(entry: dict[str, Any]) -> dict[str, Any] | None:
        if "image_id" not in entry:
            return entry
        annotated.add(entry["image_id"])
        return None

    path = Path(ann_file)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.absolute()} does not exist: the categories of the training annotations hold "
            "the number of images of each class"
        )
    content = json.loads(path.read_bytes(), object_hook=without_annotations)
    categories = content.get("categories", ()) if isinstance(content, dict) else ()
    if not categories or any("image_count" not in category for category in categories):
        raise ValueError(
            f"{path} has no image_count in its categories, which LVIS's annotation files have"
        )
    return checked_counts([category["image_count"] for category in categories]), len(annotated)


def class_counts(dataset: Any) -> list[int]:
    """Return the number of samples of each class, in wrapped and joined data sets too.

    Of mmdet's COCO and LVIS data sets it is the number of images with the class.

    Raises:
        ValueError: a data set without ``class_counts``, or joined ones with different classes.
    """
    if hasattr(dataset, "class_counts"):
        return [int(count) for count in dataset.class_counts]
    if hasattr(dataset, "cat_img_map"):
        return [len(set(dataset.cat_img_map[category])) for category in dataset.cat_ids]
    if hasattr(dataset, "datasets"):
        parts = [class_counts(part) for part in dataset.datasets]
        if len({len(part) for part in parts}) != 1:
            raise ValueError(
                f"the joined training sets have {[len(part) for part in parts]} classes: they must "
                "have the same"
            )
        return [sum(counts) for counts in zip(*parts, strict=True)]
    if hasattr(dataset, "dataset"):
        return class_counts(dataset.dataset)
    raise ValueError(
        f"{type(dataset).__name__} has no class_counts: give the data set a property that returns "
        "the number of training samples of each class, as mmdet_ltnorm's have"
    )


def training_set(cfg: Mapping[str, Any]) -> Any:
    """Build the training set of a config without its pipelines: to count, not to read images.

    Raises:
        ValueError: the config has none.
    """
    dataset = (cfg.get("train_dataloader") or {}).get("dataset")
    if dataset is None:
        raise ValueError(
            "the class counts are the training set's, and this config has no "
            "train_dataloader.dataset: keep it, its images are not read"
        )
    return DATASETS.build(_without_pipelines(deepcopy(dataset)))


def _without_pipelines(cfg: Any) -> Any:
    if isinstance(cfg, Mapping):
        return {
            key: [] if key == "pipeline" else _without_pipelines(value)
            for key, value in cfg.items()
        }
    if isinstance(cfg, Sequence) and not isinstance(cfg, str):
        return [_without_pipelines(item) for item in cfg]
    return cfg
