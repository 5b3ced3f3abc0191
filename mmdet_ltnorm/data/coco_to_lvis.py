"""A COCO-format data set of one's own with the fields of LVIS's format, for scores by frequency."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet_ltnorm.writing import write_json

LVIS_LIMITS = (10, 100)  # of training images: a class of LVIS v1 with at most 10 is rare


def coco_to_lvis(
    train_file: str | Path,
    other_files: Sequence[str | Path],
    out_dir: str | Path,
    limits: tuple[int, int] = LVIS_LIMITS,
) -> list[dict[str, Any]]:
    """Write COCO-format files with LVIS's fields to a folder, and return the categories.

    Categories get ``image_count``, ``instance_count`` and ``frequency`` (r, c or f), all from the
    training file. Every image gets ``neg_category_ids``, the categories that it does not show: in
    COCO's format all objects of all categories are annotated. Where there is a crowd, its category
    is among ``not_exhaustive_category_ids``; the scored files, the others, lose the crowd itself,
    which LVIS's format does not know.

    Args:
        limits: the most training images of a rare and of a common category.

    Raises:
        ValueError: a file is not of COCO's format or has other categories than the first, or the
            folder is that of a file itself.
    """
    train_file, out_dir = Path(train_file), Path(out_dir)
    contents = {Path(file): _read(Path(file)) for file in (train_file, *other_files)}
    categories = _counted(contents[train_file], limits)
    names = {category["id"]: category["name"] for category in categories}
    for file, content in contents.items():
        if {category["id"]: category["name"] for category in content["categories"]} != names:
            raise ValueError(f"{file} has other categories (ids and names) than {train_file}")
        if file.resolve().parent == out_dir.resolve():
            raise ValueError(f"{out_dir} holds {file.name} itself: write to another folder")
    for file, content in contents.items():
        converted = {**_with_absences(content, list(names)), "categories": categories}
        if file != train_file:
            annotations = converted["annotations"]
            converted["annotations"] = [note for note in annotations if not note.get("iscrowd")]
        write_json(out_dir / file.name, converted, indent=None)
    return categories


def _read(file: Path) -> dict[str, Any]:
    content = json.loads(file.read_text(encoding="utf-8"))
    found = list(content) if isinstance(content, dict) else type(content).__name__
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= set(content):
        raise ValueError(
            f"{file} is not in COCO's format: expected images, annotations and categories, got "
            f"{found}"
        )
    return content


def _counted(content: Mapping[str, Any], limits: tuple[int, int]) -> list[dict[str, Any]]:
    annotations = content["annotations"]
    instances = Counter(note["category_id"] for note in annotations)
    pairs = {(note["image_id"], note["category_id"]) for note in annotations}
    images = Counter(category for _, category in pairs)
    return [
        {
            **category,
            "image_count": images[category["id"]],
            "instance_count": instances[category["id"]],
            "frequency": "rcf"[sum(images[category["id"]] > limit for limit in limits)],
        }
        for category in content["categories"]
    ]


def _with_absences(content: Mapping[str, Any], categories: Sequence[int]) -> dict[str, Any]:
    present: dict[int, set[int]] = {image["id"]: set() for image in content["images"]}
    crowds: dict[int, set[int]] = {image["id"]: set() for image in content["images"]}
    for note in content["annotations"]:
        (crowds if note.get("iscrowd") else present)[note["image_id"]].add(note["category_id"])
    images = [
        {
            **image,
            "neg_category_ids": [
                category
                for category in categories
                if category not in present[image["id"]] | crowds[image["id"]]
            ],
            "not_exhaustive_category_ids": sorted(crowds[image["id"]]),
        }
        for image in content["images"]
    ]
    return {**content, "images": images}
