"""Parts, classes and labels of joined, repeated and resampled data sets."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from mmengine.registry import DATASETS
from numpy.typing import NDArray


def dataset_parts(dataset: Any) -> Iterator[Any]:
    """Yield the data sets that a joined, repeated or class-balanced one is made of, or itself."""
    inner = [*getattr(dataset, "datasets", ()), getattr(dataset, "dataset", None)]
    if inner == [None]:
        yield dataset
    for part in inner:
        if part is not None:
            yield from dataset_parts(part)


def dataset_configs(cfg: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the configs of the parts that :func:`dataset_parts` yields; none for no config."""
    if isinstance(cfg, list | tuple):
        for part in cfg:
            yield from dataset_configs(part)
    elif isinstance(cfg, Mapping):
        inner = [part for part in (cfg.get("datasets"), cfg.get("dataset")) if part]
        yield from dataset_configs(inner) if inner else [cfg]


def dataset_classes(dataset: Any) -> tuple[str, ...]:
    """Return the class names of a data set, wrapped or not, if it has names.

    Raises:
        ValueError: joined data sets name other classes, or in another order.
    """
    first, *others = [
        tuple(map(str, (getattr(part, "metainfo", None) or {}).get("classes") or ()))
        for part in dataset_parts(dataset)
    ]
    for names in others:
        if names != first:
            differing = sorted(set(names) ^ set(first))
            raise ValueError(
                "the joined data sets must have the same classes: "
                + (f"only one of them has {differing[:5]}" if differing else "their order differs")
                + ". Give all of them metainfo=dict(classes=[...]) with the same names"
            )
    return first


def check_same_classes(training: Sequence[str], other: Sequence[str]) -> None:
    """Check that a training set and its test set have the same classes.

    Data sets from lists may only number their classes; numbers are not compared.

    Raises:
        ValueError: naming what differs.
    """
    if other == training or any(all(map(str.isdecimal, names)) for names in (other, training)):
        return
    differing = sorted(set(other) ^ set(training))
    raise ValueError(
        f"the test set's {len(other)} classes are not the training set's {len(training)}: "
        + (f"only one of them has {differing[:5]}" if differing else "the order differs")
        + ". Give both metainfo=dict(classes=[...]) with the same names in the same order"
    )


def class_counts(dataset: Any) -> list[int]:
    """Return the number of samples of each class, in wrapped and joined data sets too.

    Of mmdet's COCO and LVIS data sets it is the number of images with the class. A sample that a
    wrapper repeats counts once.

    Raises:
        ValueError: a data set without ``class_counts``, or joined ones with different classes.
    """
    parts = [_own_counts(part) for part in dataset_parts(dataset)]
    if len({len(part) for part in parts}) != 1:
        raise ValueError(
            f"the joined training sets have {[len(part) for part in parts]} classes: they must "
            "have the same"
        )
    return [sum(counts) for counts in zip(*parts, strict=True)]


def _own_counts(dataset: Any) -> list[int]:
    if hasattr(dataset, "class_counts"):
        return [int(count) for count in dataset.class_counts]
    if hasattr(dataset, "cat_img_map"):
        return [len(set(dataset.cat_img_map[category])) for category in dataset.cat_ids]
    raise ValueError(
        f"{type(dataset).__name__} has no class_counts: give the data set a property that returns "
        "the number of training samples of each class, as mmdet_ltnorm's have"
    )


def labels_of(dataset: Any) -> NDArray[np.int64]:
    """Return the labels of all images of a data set, wrapped or not.

    Raises:
        TypeError: it is another kind of data set.
    """
    if hasattr(dataset, "get_labels"):
        return dataset.get_labels()
    if hasattr(dataset, "datasets"):  # ConcatDataset
        return np.concatenate([labels_of(part) for part in dataset.datasets])
    if hasattr(dataset, "repeat_indices"):  # ClassBalancedDataset
        return labels_of(dataset.dataset)[dataset.repeat_indices]
    if hasattr(dataset, "times"):  # RepeatDataset
        return np.tile(labels_of(dataset.dataset), dataset.times)
    raise TypeError(f"expected a data set with get_labels(), got {type(dataset).__name__}")


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
    dataset = deepcopy(dataset)
    for part in dataset_configs(dataset):
        if "pipeline" in part:
            part["pipeline"] = []
    return DATASETS.build(dataset)
