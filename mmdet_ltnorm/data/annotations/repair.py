"""Repairs of COCO-format files of other programs, where a fault has one meaning."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pycocotools.mask as mask_utils

from mmdet_ltnorm.data.annotations.content import Annotations, format_parts, warn
from mmdet_ltnorm.data.annotations.outlines import enclosing_parts, outline
from mmdet_ltnorm.reading import read_json


def read_repaired(file: str | Path) -> dict[str, Any]:
    """Return the repaired content of a COCO-format file, and warn of each repair.

    Numbers that are written as text or as 64.0 become integers, and other text that stands for the
    id of an image or a category is numbered; ids of annotations are numbered anew if they repeat.
    Where an object has no area or no box, they are its outline's, or the area is the box's. A
    polygon that is not in a list of polygons is put into one, and polygons of fewer than three
    points are dropped, as are annotations of images that are not in the file.

    Raises:
        FileNotFoundError, ValueError: a fault has no meaning, or more than one.
    """
    content = read_json(file)
    images, annotations, categories = format_parts(content, str(file))
    for entries, reference in (images, "image_id"), (categories, "category_id"):
        _number(str(file), entries, annotations, reference)
    for image in images:
        for side in ("height", "width"):
            image[side] = _as_number(image.get(side))
    for category in categories:
        if isinstance(category.get("name"), int | float):
            category["name"] = str(category["name"])
    _number_annotations(str(file), annotations)
    sizes = {image.get("id"): (image["height"], image["width"]) for image in images}
    _count(file, annotations, "had one polygon that was not in a list", _nest)
    _count(file, annotations, "had polygons of fewer than three points", _drop_short)
    _count(file, annotations, "had no area, or no box", lambda note: _measure(note, sizes))
    outlined = [note | {"segmentation": outline(note.get("segmentation"))} for note in annotations]
    found = Annotations(str(file), images, outlined, categories)
    if any(note.get("segmentation") for note in annotations) and (fault := found.mask_fault()):
        warn(f"no model with masks can be trained: {fault}")
    known = [note for note in annotations if note["image_id"] in found.size]
    return content | {"images": images, "annotations": known, "categories": categories}


def _as_number(value: Any) -> Any:
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number(
    file: str, entries: list[dict[str, Any]], annotations: list[dict[str, Any]], reference: str
) -> None:
    """Make the ids of images or categories numbers, and the annotations' references to them."""
    valid = [entry for entry in entries if isinstance(entry.get("id"), str | int | float)]
    ids = {entry["id"]: _as_number(entry["id"]) for entry in valid}
    unknown = _as_number
    if any(isinstance(new, str) for new in ids.values()) and len(ids) == len(entries):
        ids = {old: number for number, old in enumerate(ids, 1)}
        unknown = str  # a number that names nothing must not become the name of another
        warn(f"{file}: {reference} was text, such as {next(iter(ids))!r}: numbered from 1")
    for entry in valid:
        entry["id"] = ids[entry["id"]]
    for note in annotations:
        old = note.get(reference)
        if isinstance(old, str | int | float):
            note[reference] = ids[old] if old in ids else unknown(old)


def _number_annotations(file: str, annotations: list[dict[str, Any]]) -> None:
    ids = [_as_number(note.get("id")) for note in annotations]
    if len(set(map(repr, ids))) < len(ids) or not all(type(name) is int for name in ids):
        warn(f"{file}: ids of annotations were missing, text or repeated: numbered from 1")
        ids = range(1, len(annotations) + 1)
    for note, name in zip(annotations, ids, strict=True):
        note["id"] = name


def _count(
    file: str | Path,
    annotations: Iterable[dict[str, Any]],
    what: str,
    repair: Callable[[dict[str, Any]], bool],
) -> None:
    repaired = [note["id"] for note in annotations if repair(note)]
    if repaired:
        warn(f"{file}: {len(repaired)} annotations {what}: repaired, the first is {repaired[0]}")


def _nest(note: dict[str, Any]) -> bool:
    flat = note.get("segmentation")
    wrong = isinstance(flat, list) and bool(flat) and all(type(x) in (int, float) for x in flat)
    if wrong:
        note["segmentation"] = [flat]
    return wrong


def _drop_short(note: dict[str, Any]) -> bool:
    shape = note.get("segmentation")
    wrong = isinstance(shape, list) and outline(shape).has_short_parts
    if wrong:
        note["segmentation"] = enclosing_parts(shape)
    return wrong


def _measure(note: dict[str, Any], sizes: dict[Any, tuple[int, int]]) -> bool:
    """Give an object the area and the box of its outline, or the area of its box."""
    area, box = note.get("area"), note.get("bbox")
    if box and isinstance(area, int | float) and not area <= 0:
        return False
    size = sizes.get(note.get("image_id"), (0, 0))
    shape = note.get("segmentation")
    if all(type(side) is int for side in size) and not outline(shape).fault_in(*size):
        rle = run_lengths(shape, size)
        note["bbox"] = box or mask_utils.toBbox(rle).tolist()
        note["area"] = float(mask_utils.area(rle))
    elif isinstance(box, list) and len(box) == 4 and all(type(x) in (int, float) for x in box):
        note["area"] = box[2] * box[3]
    return note.get("area") != area or note.get("bbox") != box


def run_lengths(shape: Any, size: tuple[int, int]) -> Any:
    """Return a segmentation, in whatever form, as the run lengths that pycocotools takes."""
    if isinstance(shape, list):
        return mask_utils.merge(mask_utils.frPyObjects(shape, *size))
    return shape if isinstance(shape["counts"], str) else mask_utils.frPyObjects(shape, *size)
