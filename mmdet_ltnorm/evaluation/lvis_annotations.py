"""The parts of an annotation file that LVIS scoring needs, without polygons in memory."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from mmengine.fileio import get
from numpy.typing import NDArray

from mmdet_ltnorm.class_groups import FREQUENCIES
from mmdet_ltnorm.data.annotations import Annotations, enclosing_parts, read_annotations, warn
from mmdet_ltnorm.reading import read_json

# The fields of LVIS's own files, which every engine reads alike.
_FIELDS = {
    "images": {
        *("id", "height", "width", "neg_category_ids", "not_exhaustive_category_ids"),
        *("file_name", "coco_url", "flickr_url", "license", "date_captured"),
    },
    "annotations": {
        *("id", "image_id", "category_id", "bbox", "area", "segmentation", "iscrowd"),
    },
    "categories": {
        *("id", "name", "frequency", "image_count", "instance_count"),
        *("def", "synset", "synonyms", "supercategory"),
    },
}


class LVISAnnotations:
    """Index of a file in LVIS v1's format.

    A model's label is the place of a category in the file, which need not be ordered by id (so
    mmdet's ``LVISV1Dataset`` counts). ``annotated`` gives for each image the labels whose
    detections can count there: those with ground truth, and those verified to be absent.

    Raises:
        ValueError: the file lacks a field of LVIS's format, or an entry is wrong.
    """

    def __init__(self, ann_file: str, backend_args: Mapping[str, Any] | None = None) -> None:
        self.ann_file = str(ann_file)
        self._backend_args = backend_args
        found = read_annotations(self.ann_file, backend_args)
        _check_format(found)
        self.categories: list[dict[str, Any]] = found.categories
        self.category_ids = np.array([category["id"] for category in self.categories])
        label_of = {category["id"]: label for label, category in enumerate(self.categories)}

        self.size = found.size
        objects = [ann for ann in found.annotations if ann["area"] > 0]
        self._object_image = np.array([ann["image_id"] for ann in objects], dtype=np.int64)
        self._object_label = np.array([label_of[ann["category_id"]] for ann in objects], dtype=int)
        present = _present_categories(objects)
        self.annotated = {
            image["id"]: np.array(
                [label_of[i] for i in present[image["id"]].union(_absent(image)) if i in label_of],
                dtype=np.int32,
            )
            for image in found.images
        }
        self._mask_fault = found.mask_fault()
        self._is_plain = not self._mask_fault and _is_plain(found, present)

    def check_masks(self) -> None:
        """Refuse a file whose masks cannot be scored."""
        if self._mask_fault:
            raise ValueError(self._mask_fault)

    def object_counts(self, image_ids: Collection[int]) -> NDArray[np.int64]:
        """Count the ground-truth objects of each label in these images."""
        labels = self._object_label[np.isin(self._object_image, list(image_ids))]
        return np.bincount(labels, minlength=len(self.categories))

    def json_bytes(self, image_ids: Collection[int]) -> bytes:
        """Return the file restricted to these images, in a form that all engines read alike."""
        if self._is_plain and len(image_ids) == len(self.size):
            raw = get(self.ann_file, backend_args=self._backend_args)
            if raw.startswith(b"{") and not (b"NaN" in raw or b"Infinity" in raw):
                return raw
        content = read_json(self.ann_file, backend_args=self._backend_args)
        return json.dumps(_plain(content, set(image_ids), not self._mask_fault)).encode()


def _check_format(found: Annotations) -> None:
    needed = {
        "images": (found.images, ("neg_category_ids", "not_exhaustive_category_ids")),
        "categories": (found.categories, ("frequency",)),
    }
    for part, (entries, fields) in needed.items():
        for field in fields:
            if not all(field in entry for entry in entries):
                raise ValueError(
                    f"{found.file} is in COCO's format, not LVIS v1's: {part} without {field!r}. "
                    f"`python tools/coco_to_lvis.py TRAIN.json {found.file} --out FOLDER` writes "
                    "files that have it, to be trained and scored with"
                )
    if wrong := [c["name"] for c in found.categories if c["frequency"] not in FREQUENCIES.values()]:
        raise ValueError(f"{found.file}: the frequency of {wrong[0]!r} is none of r, c and f")
    if text := [
        entry["id"] for entry in found.images + found.categories if type(entry["id"]) is str
    ]:
        raise ValueError(
            f"{found.file}: the ids of images and categories must be numbers in LVIS's format, got "
            f"{text[0]!r}: tools/coco_to_lvis.py numbers them"
        )
    for image in found.images:
        for field in needed["images"][1]:
            ids = image[field]
            if not isinstance(ids, list) or not all(type(i) in (int, float) for i in ids):
                raise ValueError(
                    f"{found.file}: {field} of image {image['id']} must be a list of whole numbers"
                )
    if not found.annotations:
        warn(f"{found.file} has no annotations to score detections by: all scores will be unknown")


def _present_categories(annotations: Iterable[dict[str, Any]]) -> defaultdict[int, set[int]]:
    present: defaultdict[int, set[int]] = defaultdict(set)
    for annotation in annotations:
        present[annotation["image_id"]].add(annotation["category_id"])
    return present


def _absent(image: dict[str, Any]) -> set[int]:
    # lvis-api ignores unmatched detections of a class that was not searched exhaustively: without
    # ground truth of it in the image that is the same as not evaluating it here.
    return set(image["neg_category_ids"]) - set(image["not_exhaustive_category_ids"])


def _is_plain(found: Annotations, present: Mapping[int, set[int]]) -> bool:
    """Tell whether all engines read a file unchanged and alike."""
    known = {category["id"] for category in found.categories}
    return (
        found.is_literal
        and all(
            entry.keys() <= fields
            for part, fields in _FIELDS.items()
            for entry in getattr(found, part)
        )
        and len({annotation["id"] for annotation in found.annotations}) == len(found.annotations)
        and all(map(_is_plain_annotation, found.annotations))
        and all(_is_plain_image(image, present[image["id"]], known) for image in found.images)
    )


def _is_plain_annotation(annotation: dict[str, Any]) -> bool:
    crowd = annotation.get("iscrowd", 0)
    return (
        annotation["area"] > 0
        and annotation["id"] > 0
        and type(crowd) in (int, bool)
        and not crowd
        and not annotation["segmentation"].has_short_parts
    )


def _is_plain_image(image: dict[str, Any], present: set[int], known: set[int]) -> bool:
    absent, not_exhaustive = image["neg_category_ids"], image["not_exhaustive_category_ids"]
    return (
        present.isdisjoint(absent)
        and present.issuperset(not_exhaustive)
        and known.issuperset(absent)
        and all(type(i) is int for i in [*absent, *not_exhaustive])
    )


def _plain(content: dict[str, Any], image_ids: set[int], with_masks: bool) -> dict[str, Any]:
    """Keep the scored content of these images, rewritten where engines would differ.

    Scores stay: lvis-api leaves out objects without area, knows no crowds, takes the id 0 for "no
    match", and takes two annotations of one id for one.
    """
    known = {category["id"] for category in content["categories"]}
    annotations = []
    for note in content["annotations"]:
        if note["image_id"] in image_ids and note["area"] > 0:
            kept = {
                "id": len(annotations) + 1,
                "image_id": int(note["image_id"]),
                "category_id": int(note["category_id"]),
                "bbox": note["bbox"],
                "area": note["area"],
            }
            if with_masks:
                kept["segmentation"] = enclosing_parts(note["segmentation"])
            annotations.append(kept)
    present = _present_categories(annotations)
    images = []
    for image in content["images"]:
        if image["id"] in image_ids:
            here = present[image["id"]]
            kept = {key: int(image[key]) for key in ("id", "height", "width")}
            kept["neg_category_ids"] = _integers((_absent(image) - here) & known)
            kept["not_exhaustive_category_ids"] = _integers(
                here.intersection(image["not_exhaustive_category_ids"])
            )
            images.append(kept)
    categories = [
        {"id": int(category["id"]), "name": category["name"], "frequency": category["frequency"]}
        for category in content["categories"]
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def _integers(ids: set[float]) -> list[int]:
    return sorted(map(int, ids))
