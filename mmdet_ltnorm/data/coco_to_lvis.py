"""COCO-format data sets with the fields of LVIS's format, for scores by frequency."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet_ltnorm.class_groups import LVIS_LIMITS, frequency_group
from mmdet_ltnorm.data.annotations import read_repaired
from mmdet_ltnorm.writing import check_outputs, write_json


def coco_to_lvis(
    train_file: str | Path,
    other_files: Sequence[str | Path],
    out_dir: str | Path,
    limits: tuple[int, int] = LVIS_LIMITS,
    drop_unused: bool = False,
) -> list[dict[str, Any]]:
    """Write COCO-format files with LVIS's fields to a folder, and return the categories.

    Categories get ``image_count``, ``instance_count`` and ``frequency`` (r, c or f), all from the
    training file. Every image gets ``neg_category_ids``, the categories that it does not show: in
    COCO's format all objects of all categories are annotated. Where there is a crowd, its category
    is among ``not_exhaustive_category_ids``; the scored files, the others, lose the crowd itself,
    which LVIS's format does not know. :func:`read_repaired` repairs what has one meaning.

    Args:
        limits: the most training images of a rare and of a common category.
        drop_unused: leave out categories without a training annotation.

    Raises:
        ValueError: a file is not of COCO's format or has other categories than the first, or would
            be written over.
    """
    if not 0 <= limits[0] <= limits[1]:
        raise ValueError(f"the limits of rare and common must be in this order, got {limits}")
    train_file, out_dir = Path(train_file), Path(out_dir)
    written = written_files([train_file, *other_files], out_dir)
    contents = {file: read_repaired(file) for file in written}
    categories = _counted(contents[train_file], limits)
    names = {category["id"]: category["name"] for category in categories}
    for file, content in contents.items():
        own = {category["id"]: category["name"] for category in content["categories"]}
        if own != names:
            differing = sorted(map(str, own.items() ^ names.items()))[:4]
            raise ValueError(
                f"{file} has other categories (ids and names) than {train_file}: only one of them "
                f"has {', '.join(differing)}"
            )
    if drop_unused:
        categories = _used(categories, contents)
    names = {category["id"]: category["name"] for category in categories}
    for file, content in contents.items():
        converted = {**_with_absences(content, list(names)), "categories": categories}
        if file != train_file:
            annotations = converted["annotations"]
            converted["annotations"] = [note for note in annotations if not note.get("iscrowd")]
        write_json(written[file], converted, indent=None)
    return categories


def written_files(files: Sequence[str | Path], out_dir: str | Path) -> dict[Path, Path]:
    """Return the path of each new file: its name, in a folder if names repeat.

    Raises:
        ValueError: a file is given twice, or would be written over.
    """
    paths = [Path(file) for file in files]
    names = [path.name for path in paths]
    if len({name.casefold() for name in names}) < len(names):
        absolute = [os.path.abspath(path) for path in paths]
        common = os.path.commonpath([os.path.dirname(path) for path in absolute])
        names = [os.path.relpath(path, common) for path in absolute]
    targets = [Path(out_dir, name) for name in names]
    check_outputs(targets, paths)
    return dict(zip(paths, targets, strict=True))


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
            "frequency": frequency_group(images[category["id"]], limits),
        }
        for category in content["categories"]
    ]


def _used(
    categories: list[dict[str, Any]], contents: Mapping[Path, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    unused = {c["id"]: c["name"] for c in categories if not c["instance_count"]}
    for file, content in contents.items():
        if scored := {note["category_id"] for note in content["annotations"]} & unused.keys():
            raise ValueError(
                f"{file} has annotations of {unused[min(scored)]!r}, which the training file does "
                "not show, so that it cannot be left out: move some of its images to training"
            )
    return [category for category in categories if category["id"] not in unused]


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
