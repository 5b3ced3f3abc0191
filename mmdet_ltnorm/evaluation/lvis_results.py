"""Detections in lvis-api's results format, one JSON list of boxes and masks."""

import json
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdet_ltnorm.evaluation.detections import ImageDetections, best_first
from mmdet_ltnorm.evaluation.lvis_annotations import LVISAnnotations
from mmdet_ltnorm.reading import read_json
from mmdet_ltnorm.writing import replacing


def write_lvis_results(
    images: Sequence[ImageDetections], category_ids: NDArray[np.int64], file: str | Path
) -> None:
    """Write the detections that count, an entry on each line, masks beside boxes if there are any.

    ``category_ids`` gives each label's category.
    """
    with replacing(file) as partial, partial.open("w") as out:
        for number, entry in enumerate(_entries(images, category_ids)):
            out.write((",\n" if number else "[") + json.dumps(entry))
        out.write("]\n" if any(len(image.counted) for image in images) else "[]\n")


def _entries(
    images: Sequence[ImageDetections], category_ids: NDArray[np.int64]
) -> Iterator[dict[str, Any]]:
    for image in images:
        for place, row in enumerate(image.counted):
            entry = {
                "image_id": image.image_id,
                "category_id": int(category_ids[image.label[row]]),
                "score": float(image.score[row]),
                "bbox": image.box[place].tolist(),
            }
            if image.rle is not None:
                counts = image.rle[place].decode()
                entry["segmentation"] = {"size": list(image.size), "counts": counts}
            yield entry


def read_lvis_results(
    file: str | Path, annotations: LVISAnnotations, limit: int
) -> dict[str, list[ImageDetections]]:
    """Return the ``limit`` best detections of every annotated image, for ``bbox`` and ``segm``.

    Both hold the same detections if the entries have boxes and masks. An image without entries is
    one without detections.

    Raises:
        ValueError: the file is no such list, or of other images or categories.
    """
    columns = _Columns()
    try:
        content = read_json(file, object_hook=columns.take)
    except (AttributeError, KeyError, OverflowError, TypeError) as error:
        raise ValueError(f"{file} has no results in lvis-api's format: {error!r}") from error
    if not isinstance(content, list):
        raise ValueError(f"{file} has no results in lvis-api's format: expected a list of them")
    kinds = [kind for kind, whole in columns.kinds().items() if whole]
    if not kinds:
        raise ValueError(f"{file} has entries without 'bbox' and entries without 'segmentation'")
    images = list(columns.images(str(file), annotations, limit))
    return dict.fromkeys(kinds, images)


class _Columns:
    """The fields of all entries, read one by one; no list of dictionaries is in memory."""

    def __init__(self) -> None:
        self.image_id, self.category_id = array("q"), array("q")
        self.score, self.box = array("d"), array("d")
        self.rle: list[bytes] = []
        self.rle_size = array("q")
        self.boxes = 0

    def take(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        """Store an entry's fields; return a mask, which is an object inside the entry."""
        if "counts" in entry:
            return entry
        self.image_id.append(entry["image_id"])
        self.category_id.append(entry["category_id"])
        self.score.append(entry["score"])
        box = entry.get("bbox", (0, 0, 0, 0))
        if len(box) != 4:
            raise TypeError(f"bbox={box}, expected x, y, width and height")
        self.box.extend(box)
        self.boxes += "bbox" in entry
        if "segmentation" in entry:
            mask = entry["segmentation"]
            if len(mask["size"]) != 2:
                raise TypeError(f"size={mask['size']}, expected height and width")
            self.rle.append(mask["counts"].encode())
            self.rle_size.extend(mask["size"])
        return None

    def kinds(self) -> dict[str, bool]:
        """Tell for boxes and for masks whether every entry has them."""
        entries = len(self.score)
        return {"bbox": self.boxes == entries, "segm": len(self.rle) == entries}

    def images(
        self, file: str, annotations: LVISAnnotations, limit: int
    ) -> Iterator[ImageDetections]:
        """Yield all annotated images by id."""
        image_id, score = np.array(self.image_id), np.array(self.score)
        label = _labels(file, np.array(self.category_id), annotations.category_ids)
        box = np.array(self.box).reshape(-1, 4)
        if unknown := set(image_id.tolist()) - annotations.size.keys():
            raise ValueError(f"{file} has image {min(unknown)}, {annotations.ann_file} does not")
        if not (np.isfinite(score).all() and np.isfinite(box).all()):
            raise ValueError(f"{file} has boxes or scores that are not finite numbers")
        order = np.argsort(image_id, kind="stable")
        ids = sorted(annotations.size)
        starts = np.searchsorted(image_id[order], ids)
        has_masks = len(self.rle) == len(score)
        if has_masks:
            self._check_sizes(file, annotations)
        for name, rows in zip(ids, np.split(order, starts[1:]), strict=True):
            rows = rows[best_first(score[rows], limit)]
            counted = np.flatnonzero(np.isin(label[rows], annotations.annotated[name]))
            kept = rows[counted]
            rle = [self.rle[row] for row in kept] if has_masks else None
            size = annotations.size[name]
            yield ImageDetections(name, size, score[rows], label[rows], counted, box[kept], rle)

    def _check_sizes(self, file: str, annotations: LVISAnnotations) -> None:
        found = np.array(self.rle_size).reshape(-1, 2)
        expected = np.array([annotations.size[name] for name in self.image_id]).reshape(-1, 2)
        if (rows := np.flatnonzero((found != expected).any(1))).size:
            height, width = found[rows[0]]
            raise ValueError(
                f"{file} has a mask of (height, width) {(int(height), int(width))} in image "
                f"{self.image_id[rows[0]]}, {annotations.ann_file} says "
                f"{tuple(expected[rows[0]].tolist())}: it is of other images, or of resized ones"
            )


def _labels(
    file: str, category: NDArray[np.int64], category_ids: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Return the indices of the categories in ``category_ids``, in any order."""
    by_id = np.argsort(category_ids)
    place = np.searchsorted(category_ids, category, sorter=by_id)
    label = by_id[np.minimum(place, len(by_id) - 1)]
    if (other := category_ids[label] != category).any():
        raise ValueError(f"{file} has category {category[other][0]}, the annotations do not")
    return label.astype(np.int32)
