"""Data sets of images with one label each."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from mmdet_ltnorm.data.imbalance import exponential_counts, step_counts, subset_indices
from mmdet_ltnorm.data.index_file import read_index_file, write_index_file
from mmdet_ltnorm.reading import read_lines

PROFILES = {"exponential": exponential_counts, "step": step_counts}


class LabelledDataset(BaseDataset):
    """Images with one label each; `metainfo["classes"]` names all classes, empty ones too.

    Raises:
        ValueError: `metainfo["classes"]` is neither names that all differ nor a file of them.
    """

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Read a file of class names; mmengine would keep a byte-order mark."""
        metainfo = dict(metainfo or {})
        if "classes" in metainfo:
            metainfo["classes"] = _class_names(metainfo["classes"])
        return super()._load_metainfo(metainfo)

    first_index = 0  # ClassCountsHook's: of this set's first image in a set of several

    def get_data_info(self, idx: int) -> dict:
        """Return the data of an image; `sample_idx` is unique in joined data sets, too."""
        info = super().get_data_info(idx)
        info["sample_idx"] += self.first_index
        return info

    def get_labels(self) -> np.ndarray:
        """Return the labels of all images, int64 of shape (N,), without reading an image."""
        infos = (BaseDataset.get_data_info(self, index) for index in range(len(self)))
        return np.fromiter((info["gt_label"] for info in infos), np.int64, len(self))

    @property
    def class_counts(self) -> list[int]:
        """Number of images of each class."""
        return np.bincount(self.get_labels(), minlength=len(self._metainfo["classes"])).tolist()

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the label of one image as mmengine's ClassBalancedDataset takes it."""
        return [BaseDataset.get_data_info(self, idx)["gt_label"]]


def _class_names(classes: Any) -> Any:
    """Return the class names, all different; in a file each has a line."""
    source = "metainfo's classes"
    if isinstance(classes, str):
        if not os.path.isfile(classes):
            raise ValueError(
                f"{source} must be a list of names, or a text file with one on each line, got "
                f"{classes!r}, and there is no such file"
            )
        source, classes = classes, [line.strip() for line in read_lines(classes)]
    if not isinstance(classes, list | tuple):
        raise ValueError(f"{source} must be a list of names, got {classes!r:.100}")
    seen: dict[str, int] = {}
    for number, name in enumerate(classes, 1):
        if not str(name).strip() or seen.setdefault(str(name), number) != number:
            what = f"is {name!r} again, as number {seen[name]} is" if name in seen else "is blank"
            raise ValueError(f"{source}: name number {number} {what}; all have to differ")
    return classes


class LongTailedArrays(LabelledDataset):
    """Images in one array, with a long-tailed training split.

    A subclass says in `load_arrays` where images and labels come from.

    Args:
        split: "train", or "test", which always is complete.
        imbalance_factor: size of the largest class over that of the smallest; 1 keeps all images,
            in the data's own order.
        profile: "exponential" or "step".
        subset_seed: chooses the images that are kept; 0 keeps those of the published code.
        index_file: the kept indices are written to this file, or read from it where it exists.

    Raises:
        ValueError: split or profile is unknown, a test split is asked for with an imbalance, or
            `index_file` does not hold this subset.
    """

    def __init__(
        self,
        *args: Any,
        split: str = "train",
        imbalance_factor: float = 1,
        profile: str = "exponential",
        subset_seed: int = 0,
        index_file: str = "",
        **kwargs: Any,
    ) -> None:
        if split not in ("train", "test"):
            raise ValueError(f'split must be "train" or "test", got {split!r}')
        if profile not in PROFILES:
            raise ValueError(f"profile must be one of {sorted(PROFILES)}, got {profile!r}")
        if split == "test" and imbalance_factor != 1:
            raise ValueError(
                f"the test split stays balanced, got imbalance_factor={imbalance_factor}; "
                "give it to the training split alone"
            )
        self.split = split
        self.imbalance_factor = imbalance_factor
        self.profile = profile
        self.subset_seed = subset_seed
        self.index_file = index_file
        super().__init__(*args, **kwargs)

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """Return the split's images, uint8 BGR (N, H, W, 3), labels (N,) and class names."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        """Load the arrays, keep the long-tailed subset and list it."""
        images, labels, names = self.load_arrays()
        self._metainfo.setdefault("classes", names)
        if self.imbalance_factor != 1:
            indices = self._subset(labels, len(names))
            images, labels = images[indices], labels[indices]
        # Not in the list, which is serialised: workers share one array, or get it at once.
        self.images = images
        return [{"array_index": i, "gt_label": int(label)} for i, label in enumerate(labels)]

    def get_data_info(self, idx: int) -> dict:
        """Return a copy of one image, with its label."""
        info = super().get_data_info(idx)
        image = self.images[info.pop("array_index")]
        info["img"] = image.copy()
        info["img_shape"] = info["ori_shape"] = image.shape[:2]
        return info

    def _subset(self, labels: np.ndarray, num_classes: int) -> np.ndarray:
        largest = int(np.bincount(labels, minlength=num_classes).max())
        counts = PROFILES[self.profile](largest, num_classes, self.imbalance_factor)
        if not self.index_file:
            return subset_indices(labels, counts, self.subset_seed)
        protocol = {
            "dataset": type(self).__name__,
            "images": len(labels),
            "profile": self.profile,
            "imbalance_factor": self.imbalance_factor,
            "seed": self.subset_seed,
            "class_counts": counts,
        }
        if not os.path.exists(self.index_file):
            indices = subset_indices(labels, counts, self.subset_seed)
            write_index_file(self.index_file, indices, protocol)
        return read_index_file(self.index_file, protocol)
