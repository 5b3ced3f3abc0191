"""The splits of a config's data, built without their pipelines and counted."""

import os
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.registry import DATASETS
from numpy.typing import NDArray

from mmdet_ltnorm.data.annotations import check_sources
from mmdet_ltnorm.data.wrapped import class_counts, dataset_classes, dataset_configs, dataset_parts
from mmdet_ltnorm.data_check.findings import DataFindings
from mmdet_ltnorm.engine.checks import check_data_files
from mmdet_ltnorm.engine.options import LOADERS


@dataclass
class Split:
    """A data set, and its images and objects of each class; a classifier's image is its object."""

    title: str
    dataset: Any
    names: list[str]
    images: NDArray[np.int64]
    objects: NDArray[np.int64]
    number: int
    empty: int = 0  # images without an object

    def line(self) -> str:
        """Return name and size of the split in a line."""
        places = {
            getattr(part, "ann_file", "")
            or os.path.normpath(getattr(part, "data_root", None) or "")
            for part in dataset_parts(self.dataset)
        }
        kinds = {type(part).__name__ for part in dataset_parts(self.dataset)}
        counted = f"{self.number} images, {len(self.names)} classes"
        if self.is_of_objects:
            counted = f"{counted}, {self.objects.sum()} objects, {self.empty} images without any"
        return (
            f"{self.title}: {' and '.join(sorted(kinds))} {' and '.join(sorted(places))}: {counted}"
        )

    @property
    def is_of_objects(self) -> bool:
        """Whether images have objects rather than one label each."""
        return not hasattr(next(dataset_parts(self.dataset)), "get_labels")

    def infos(self) -> Iterator[tuple[Any, int]]:
        """Yield the data set and the index of each image once, even if it is repeated."""
        for part in dataset_parts(self.dataset):
            for index in range(len(part)):
                yield part, index


def read_splits(cfg: Mapping[str, Any], findings: DataFindings) -> list[Split]:
    """Build and count the data sets of a config; build equal ones of two loaders once."""
    configs: dict[str, Any] = {}
    for loader in LOADERS:
        dataset = (cfg.get(loader) or {}).get("dataset")
        name = loader.removesuffix("_dataloader")
        same = next((title for title, other in configs.items() if other == dataset), None)
        if same is not None:
            configs[f"{same}, {name}"] = configs.pop(same)
        elif dataset is not None:
            configs[name] = dataset
    splits = []
    for title, dataset in configs.items():
        with findings.collecting(title):
            loader = f"{title.partition(',')[0]}_dataloader"
            check_data_files(cfg, loader)
            check_sources({loader: dataset})
            splits.append(_counted(title, _built(dataset), findings))
    return splits


def _built(dataset: Mapping[str, Any]) -> Any:
    """Build a data set that loads all images without transforms."""
    dataset = deepcopy(dataset)
    for part in dataset_configs(dataset):
        steps = part.get("pipeline") or []
        part["pipeline"] = [step for step in steps[:1] if "LoadImage" in str(step["type"])]
        part.pop("filter_cfg", None)
    return DATASETS.build(dataset)


def _counted(title: str, dataset: Any, findings: DataFindings) -> Split:
    names = list(dataset_classes(dataset))
    if hasattr(next(dataset_parts(dataset)), "get_labels"):
        counts = np.array(class_counts(dataset))
        return Split(title, dataset, names, counts, counts, int(counts.sum()))
    split = Split(title, dataset, names, *np.zeros((2, len(names)), dtype=np.int64), 0)
    for part, index in split.infos():
        info = part.get_data_info(index)
        labels, seen = [], set()
        for instance in info.get("instances", ()):
            if not instance.get("ignore_flag"):
                labels.append(instance["bbox_label"])
                box = (instance["bbox_label"], *instance["bbox"])
                if box in seen:
                    what = f"{title}: images in which one box is annotated twice"
                    findings.note(what, f"{info['img_path']}: {names[box[0]]} {list(box[1:])}")
                seen.add(box)
        np.add.at(split.objects, labels, 1)
        np.add.at(split.images, np.unique(labels).astype(int), 1)
        split.empty += not labels
        split.number += 1
    return split
