"""Checks that images have the sizes that their annotations are for."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from mmdet_ltnorm.data.image_files import ImageError
from mmdet_ltnorm.data.wrapped import dataset_parts

PROBED = 16  # images of each data set that are looked at before a run


def size_fault(image: Any, loaded: Iterable[int], annotated: Iterable[int]) -> str:
    """Return a message if an image is loaded in another (height, width) than annotated."""
    height, width = loaded
    expected_height, expected_width = annotated
    if (height, width) == (expected_height, expected_width):
        return ""
    remedy = "the picture was resized or exchanged after it was annotated: annotate what is there"
    if (height, width) == (expected_width, expected_height):
        remedy = (
            "the file turns it by its EXIF orientation, and the annotations are for the unturned "
            "picture: set color_type='color_ignore_orientation' in LoadImageFromFile, in training "
            "and testing, or save the pictures unturned, without EXIF"
        )
    return (
        f"{image} is {width} x {height} pixels (width x height) as loaded, and its annotations are "
        f"for {expected_width} x {expected_height}, so that boxes and masks would lie elsewhere: "
        f"{remedy}; if the boxes are right, correct width and height in the annotation file"
    )


class ImageSizes:
    """The annotated size of every image of a data set, wrapped or not.

    Some images are loaded at once, as the data set's own pipeline does, because a fault of one
    image is mostly a fault of many.

    Raises:
        ImageError: one of those images has another size, or cannot be decoded.
    """

    def __init__(self, dataset: Any) -> None:
        self._annotated: dict[str, tuple[int, int]] = {}
        for plain in dataset_parts(dataset):
            if hasattr(plain, "get_data_info") and hasattr(plain, "cat_ids"):
                self._add(plain)

    def check(self, samples: Iterable[Any]) -> None:
        """Compare loaded samples with their annotations."""
        for sample in samples:
            meta = getattr(sample, "metainfo", {})
            self._check(meta.get("img_path"), meta.get("ori_shape"))

    def _add(self, plain: Any) -> None:
        probed = set(np.linspace(0, len(plain) - 1, PROBED, dtype=int).tolist())
        load = next(iter(plain.pipeline.transforms), None)
        for index in range(len(plain)):
            info = plain.get_data_info(index)
            if "height" not in info or "width" not in info:
                return
            self._annotated[info["img_path"]] = info["height"], info["width"]
            if index in probed and type(load).__name__ == "LoadImageFromFile":
                self._check(info["img_path"], load(dict(info))["ori_shape"])

    def _check(self, path: Any, loaded: Any) -> None:
        annotated = self._annotated.get(path) if isinstance(path, str) else None
        if annotated and loaded and (fault := size_fault(path, loaded[:2], annotated)):
            raise ImageError(fault)
