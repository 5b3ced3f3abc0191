"""What LVIS scoring needs of an annotation file, without holding its polygons."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from mmengine.fileio import get
from numpy.typing import NDArray


class LVISAnnotations:
    """Index of a file in LVIS v1's format.

    A model's label is the place of a category in the file, which need not be ordered by id (so
    mmdet's ``LVISV1Dataset`` counts). ``annotated`` gives for each image the labels whose
    detections can count there: those with ground truth, and those verified to be absent.

    Raises:
        ValueError: the file lacks a field of LVIS's format.
    """

    def __init__(self, ann_file: str, backend_args: dict[str, Any] | None = None) -> None:
        self.ann_file = str(ann_file)
        self._backend_args = backend_args
        content = json.loads(self._read(), object_hook=_without_polygons)
        self._check_format(content)
        self.categories: list[dict[str, Any]] = content["categories"]
        self.category_ids = np.array([category["id"] for category in self.categories])
        label_of = {category["id"]: label for label, category in enumerate(self.categories)}

        images, annotations = content["images"], content["annotations"]
        self.size = {image["id"]: (image["height"], image["width"]) for image in images}
        objects = [ann for ann in annotations if ann["area"] > 0]
        self._object_image = np.array([ann["image_id"] for ann in objects], dtype=np.int64)
        self._object_label = np.array([label_of[ann["category_id"]] for ann in objects], dtype=int)
        present = _present_categories(objects)
        self.annotated = {
            image["id"]: np.array(
                [label_of[i] for i in present[image["id"]].union(_absent(image))], dtype=np.int32
            )
            for image in images
        }
        self._is_plain = all(map(_is_plain_annotation, annotations)) and all(
            _is_plain_image(image, present[image["id"]]) for image in images
        )

    def object_counts(self, image_ids: Collection[int]) -> NDArray[np.int64]:
        """Count the ground-truth objects of each label in these images."""
        labels = self._object_label[np.isin(self._object_image, list(image_ids))]
        return np.bincount(labels, minlength=len(self.categories))

    def json_bytes(self, image_ids: Collection[int]) -> bytes:
        """Return the file restricted to these images, in the form every engine reads alike."""
        content = self._read()
        if self._is_plain and len(image_ids) == len(self.size):
            return content
        return json.dumps(_plain(json.loads(content), set(image_ids))).encode()

    def _read(self) -> bytes:
        return get(self.ann_file, backend_args=self._backend_args)

    def _check_format(self, content: dict[str, Any]) -> None:
        needed = {
            "images": ("id", "height", "width", "neg_category_ids", "not_exhaustive_category_ids"),
            "annotations": ("id", "image_id", "category_id", "bbox", "area"),
            "categories": ("id", "name", "frequency"),
        }
        for part, fields in needed.items():
            if part not in content:
                raise ValueError(f"{self.ann_file} is not in LVIS v1's format: it has no {part!r}")
            for field in fields:
                if not all(field in entry for entry in content[part]):
                    raise ValueError(
                        f"{self.ann_file} is not in LVIS v1's format: {part} without {field!r}"
                    )


def _without_polygons(entry: dict[str, Any]) -> dict[str, Any]:
    # Called as each object is parsed, so the polygons of one annotation at a time are in memory.
    entry.pop("segmentation", None)
    return entry


def _present_categories(annotations: Iterable[dict[str, Any]]) -> defaultdict[int, set[int]]:
    present: defaultdict[int, set[int]] = defaultdict(set)
    for annotation in annotations:
        present[annotation["image_id"]].add(annotation["category_id"])
    return present


def _absent(image: dict[str, Any]) -> set[int]:
    # lvis-api ignores unmatched detections of a class that was not searched exhaustively: without
    # ground truth of it in the image that is the same as not evaluating it here.
    return set(image["neg_category_ids"]) - set(image["not_exhaustive_category_ids"])


def _is_plain_annotation(annotation: dict[str, Any]) -> bool:
    return annotation["area"] > 0 and annotation["id"] > 0 and not annotation.get("iscrowd")


def _is_plain_image(image: dict[str, Any], present: set[int]) -> bool:
    return present.isdisjoint(image["neg_category_ids"]) and present.issuperset(
        image["not_exhaustive_category_ids"]
    )


def _plain(content: dict[str, Any], image_ids: set[int]) -> dict[str, Any]:
    """Drop other images, and rewrite what engines refuse or read differently; scores stay.

    lvis-api leaves out objects without area, knows no crowds, and takes the id 0 for "no match".
    """
    images = [image for image in content["images"] if image["id"] in image_ids]
    annotations = [
        {key: value for key, value in annotation.items() if key != "iscrowd"} | {"id": new_id}
        for new_id, annotation in enumerate(content["annotations"], start=1)
        if annotation["image_id"] in image_ids and annotation["area"] > 0
    ]
    present = _present_categories(annotations)
    for image in images:
        here = present[image["id"]]
        image["neg_category_ids"] = sorted(_absent(image) - here)
        image["not_exhaustive_category_ids"] = sorted(
            here.intersection(image["not_exhaustive_category_ids"])
        )
    return content | {"images": images, "annotations": annotations}
