"""Annotation files in COCO's and LVIS's format, read and checked; errors name the entry."""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmengine.logging import print_log

from mmdet_ltnorm.data.annotations.outlines import outline
from mmdet_ltnorm.lettering import some
from mmdet_ltnorm.reading import read_json

MOST_PIXELS = 2**30  # of an image that OpenCV reads
CONVERTER = "`python tools/coco_to_lvis.py FILE --out FOLDER`"


@dataclass
class Annotations:
    """The content of an annotation file, with an ``Outline`` instead of each segmentation.

    Whole numbers that were written as 64.0 are integers, and annotations of images that are not in
    the file are left out with a warning, as every reader of the format does; ``is_literal`` tells
    that no such change was made.

    Raises:
        ValueError: names the file, what is wrong in which entry, and what to do about it.
    """

    file: str
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: list[dict[str, Any]]

    def __post_init__(self) -> None:
        self.is_literal = True
        self._check_categories()
        self._check_images()
        known = {category["id"] for category in self.categories}
        seen, orphans = len(self.annotations), []
        for number, note in enumerate(self.annotations):
            if fault := self._fault(note, known):
                name = note.get("id", f"number {number + 1}")
                raise ValueError(f"{self.file}: annotation {name!r} {fault}")
        orphans = [note for note in self.annotations if note["image_id"] not in self.size]
        if orphans:
            warn(
                f"{self.file}: {len(orphans)} of {seen} annotations are of images that are not in "
                f"the file, the first is {orphans[0]['id']!r} of image {orphans[0]['image_id']!r}: "
                "they are left out"
            )
            self.annotations = [n for n in self.annotations if n["image_id"] in self.size]
            self.is_literal = False

    @cached_property
    def size(self) -> dict[Any, tuple[int, int]]:
        """Height and width of each image."""
        return {image["id"]: (image["height"], image["width"]) for image in self.images}

    def mask_fault(self) -> str:
        """Return a message about an object whose segmentation makes no mask, crowds included."""
        for note in self.annotations:
            if note["area"] > 0:  # others are left out by all readers
                shape = note.get("segmentation") or outline(None)
                if fault := shape.fault_in(*self.size[note["image_id"]]):
                    return (
                        f"{self.file}: annotation {note['id']!r} of image {note['image_id']!r} "
                        f"{fault}: outline it anew, remove it, or do without masks (a model "
                        "without a mask head, metric='bbox')"
                    )
        return ""

    def check_trainable(self) -> None:
        """Refuse a file without objects to train; warn of objects and categories left out."""
        ids = Counter(note["id"] for note in self.annotations)
        if repeated := [name for name, times in ids.items() if times > 1]:
            images = [n["image_id"] for n in self.annotations if n["id"] == repeated[0]]
            raise ValueError(
                f"{self.file}: {len(repeated)} ids of annotations are repeated, the first is "
                f"{repeated[0]!r} (in the images {images[:5]}), and its readers take one for the "
                f"other: {CONVERTER} numbers them anew"
            )
        objects = [note for note in self.annotations if not note.get("iscrowd")]
        used = [note for note in objects if _is_trained(note, self.size)]
        reasons = (
            "they have no area, lie outside of their image, are below 1 x 1 pixel, or are marked "
            "to be ignored"
        )
        if not used:
            raise ValueError(
                f"{self.file} has {len(objects)} objects, and none that can be trained"
                + f": {reasons} (boxes are x, y, width, height in pixels)" * bool(objects)
            )
        if len(used) < len(objects):
            first = next(note for note in objects if not _is_trained(note, self.size))
            warn(
                f"{self.file}: {len(objects) - len(used)} of {len(objects)} objects are not "
                f"trained, for {reasons}; the first is {first['id']!r} of image "
                f"{first['image_id']!r}"
            )
        beyond = [note for note in used if _reaches_beyond(note, self.size)]
        if 10 * len(beyond) > len(used):
            warn(
                f"{self.file}: {len(beyond)} of {len(used)} boxes reach beyond their image, the "
                f"first is {beyond[0]['bbox']} of image {beyond[0]['image_id']!r}: are they x, y, "
                "width and height, of the image as it is?"
            )
        if empty := [c["name"] for c in self.unused_categories(used)]:
            warn(f"{self.file}: {unused_words(empty)}")

    def check_file_names(self, field: str) -> None:
        """Refuse images whose file no data set would find."""
        for image in self.images:
            if not isinstance(image.get(field), str):
                other = ": LVISV1Dataset finds images by it, CocoDataset by file_name"
                raise ValueError(
                    f"{self.file}: image {image['id']!r} needs a {field}, got {image.get(field)!r}"
                    + other * (field == "coco_url")
                )

    def unused_categories(self, notes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the categories without annotations."""
        used = {note["category_id"] for note in notes}
        return [category for category in self.categories if category["id"] not in used]

    def _check_categories(self) -> None:
        if not self.categories:
            raise ValueError(f"{self.file} has no categories")
        for category in self.categories:
            name = category.get("name")
            if "id" not in category or not isinstance(name, str) or not name.strip():
                raise ValueError(
                    f"{self.file}: a category needs an id and a name in text, got {category!r}"
                )
        self._ids_once("category", self.categories)
        if twice := _repeated(category["name"] for category in self.categories):
            raise ValueError(
                f"{self.file}: two categories are called {twice!r}, and classes are found by name: "
                "rename one, or give the annotations of both one category_id"
            )

    def _check_images(self) -> None:
        if not self.images:
            raise ValueError(f"{self.file} has no images")
        for image in self.images:
            name = image.get("file_name", image.get("coco_url"))
            if "id" not in image:
                raise ValueError(f"{self.file}: an image has no id: {str(image)[:200]}")
            for side in "height", "width":
                image[side] = self._whole(image.get(side))
                if type(image[side]) is not int or image[side] < 1:
                    raise ValueError(
                        f"{self.file}: image {image['id']!r} ({name}) needs a {side} in whole "
                        f"pixels, got {image[side]!r}"
                    )
            if image["height"] * image["width"] > MOST_PIXELS:
                raise ValueError(
                    f"{self.file}: image {image['id']!r} ({name}) is said to be {image['width']} x "
                    f"{image['height']} pixels, more than OpenCV reads"
                )
        self._ids_once("image", self.images)

    def _ids_once(self, what: str, entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            entry["id"] = self._whole(entry["id"])
            if not _is_id(entry["id"]):
                raise ValueError(
                    f"{self.file}: {what} id {entry['id']!r} is no whole number below 2**63"
                )
        if (twice := _repeated(entry["id"] for entry in entries)) is not None:
            raise ValueError(
                f"{self.file}: two entries have the {what} id {twice!r}, so that nobody can tell "
                f"whose the annotations are: give each {what} its own id, and its annotations, too"
            )

    def _fault(self, note: dict[str, Any], categories: set[Any]) -> str:
        """Return the fault of an annotation, except its outline; make its ids integers."""
        for key in ("id", "image_id", "category_id", "bbox", "area"):
            if note.get(key) is None:
                remedy = f": {CONVERTER} adds it" if key in ("id", "area") else ""
                return f"has no {key}{remedy}"
        for key in ("id", "image_id", "category_id"):
            note[key] = self._whole(note[key])
            if not _is_id(note[key]):
                return f"has {key}={note[key]!r}, expected a whole number below 2**63"
        if note["category_id"] not in categories:
            return (
                f"has category_id={note['category_id']!r}, which is not among the categories: add "
                "the category, or remove its annotations"
            )
        box, area = note["bbox"], note["area"]
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)):
            return (
                f"has bbox={str(box)[:100]}, expected four finite numbers: x, y, width and height"
            )
        if box[2] < 0 or box[3] < 0:
            return f"has bbox={box}, whose width or height is negative: order its corners"
        if not _is_finite(area):
            return f"has area={area!r}, expected a finite number"
        return ""

    def _whole(self, value: Any) -> Any:
        """Return 64.0 as 64, and any other value unchanged."""
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            self.is_literal = False
            return int(value)
        return value


def read_annotations(file: str, backend_args: dict[str, Any] | None = None) -> Annotations:
    """Read and check an annotation file; the polygons of one object at a time are in memory.

    Raises:
        FileNotFoundError, ValueError: it is not there, or not in COCO's format; both name it.
    """
    content = read_json(file, _with_outline, backend_args)
    return Annotations(file, *format_parts(content, file))


def format_parts(content: Any, file: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the images, annotations and categories of a file; annotations may be missing."""
    found = list(content) if isinstance(content, dict) else type(content).__name__
    for part in "images", "annotations", "categories":
        entries = content.get(part) if isinstance(content, dict) else None
        if entries is None and part == "annotations" and "images" in found:
            entries = []  # as of the test images of COCO
        if not isinstance(entries, list):
            raise ValueError(
                f"{file} is not in COCO's format: expected images, annotations and categories, got "
                f"{str(found)[:200]}"
            )
        if not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{file} is not in COCO's format: {part} has entries of another kind")
        yield entries


def unused_words(names: list[str]) -> str:
    """Return a message about categories without annotations, with the remedy."""
    return (
        f"no annotation has the categories {some(map(repr, names), 10)}. A model has a "
        "class for each, which it never learns; Roboflow's exports begin with such a category. "
        "Leave them out with tools/coco_to_lvis.py ... --drop-unused"
    )


def _with_outline(entry: dict[str, Any]) -> dict[str, Any]:
    # Called as each object is parsed, so the polygons of one annotation at a time are in memory.
    if "segmentation" in entry:
        entry["segmentation"] = outline(entry["segmentation"])
    return entry


def _reaches_beyond(note: dict[str, Any], size: dict[Any, tuple[int, int]]) -> bool:
    (x, y, w, h), (height, width) = note["bbox"], size[note["image_id"]]
    return x + w > width + 2 or y + h > height + 2  # by more than rounding


def _is_trained(note: dict[str, Any], size: dict[Any, tuple[int, int]]) -> bool:
    """Tell whether MMDetection's CocoDataset trains on an annotation."""
    (x, y, w, h), (height, width) = note["bbox"], size[note["image_id"]]
    inside = min(x + w, width) > max(x, 0) and min(y + h, height) > max(y, 0)
    return inside and note["area"] > 0 and w >= 1 and h >= 1 and not note.get("ignore")


def _is_id(value: Any) -> bool:
    return (type(value) is int and abs(value) < 2**63) or isinstance(value, str)


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e15 and math.isfinite(value)


def _repeated(values: Iterable[Any]) -> Any:
    seen = set()
    return next((value for value in values if value in seen or seen.add(value)), None)


def warn(text: str) -> None:
    print_log(text, logger="current", level=logging.WARNING)
