"""Detections of one image in a compact form; a validation set fits in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as mask_utils
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(slots=True)
class ImageDetections:
    """The N detections of an image, best first; n of them can count and carry a box and a mask.

    Shapes: ``score`` and ``label`` (N,); ``counted`` (n,), rows of ``score`` and ``label``; ``box``
    (n, 4) as x, y, width, height in pixels; ``rle``, n compressed run lengths in COCO's encoding,
    of masks of ``size`` (height, width), or None without masks.
    """

    image_id: int
    size: tuple[int, int]
    score: NDArray[np.float64]
    label: NDArray[np.int32]
    counted: NDArray[np.int64]
    box: NDArray[np.float64]
    rle: list[bytes] | None

    def among(self, rows: NDArray[np.bool_]) -> "ImageDetections":
        """Return the image with only the detections counted that ``rows`` (N,) selects."""
        kept = rows[self.counted]
        rle = self.rle and [rle for rle, keep in zip(self.rle, kept, strict=True) if keep]
        return replace(self, counted=self.counted[kept], box=self.box[kept], rle=rle)


def image_detections(
    prediction: Mapping[str, Any],
    image_id: int,
    size: tuple[int, int],
    annotated: NDArray[np.int32],
    limit: int | None,
    with_masks: bool,
) -> ImageDetections:
    """Return the ``limit`` best detections of mmdet's ``pred_instances`` for scoring.

    Boxes and masks are kept for the labels in ``annotated`` only. LVIS is a federated data set: a
    detection of a class that was not searched for in this image takes a place among the ``limit``
    best, but does not count, so its mask need not be moved or encoded.
    """
    score = torch.as_tensor(prediction["scores"]).cpu().double().numpy()
    label = torch.as_tensor(prediction["labels"]).cpu().int().numpy()
    order = best_first(score, limit)
    score, label = score[order], label[order]
    counted = np.flatnonzero(np.isin(label, annotated))
    rows = torch.from_numpy(order[counted])
    box = torch.as_tensor(prediction["bboxes"])[rows].cpu().double().numpy()
    if not (np.isfinite(score).all() and np.isfinite(box).all()):
        raise ValueError(f"image {image_id} has boxes or scores that are not finite numbers")
    box[:, 2:] -= box[:, :2]
    rle = _run_lengths(prediction, rows, image_id, size) if with_masks else None
    return ImageDetections(image_id, size, score, label, counted, box, rle)


def best_first(score: NDArray[np.float64], limit: int | None) -> NDArray[np.int64]:
    """Return the indices of the ``limit`` best scores of an image, the first of equal ones."""
    return np.argsort(-score, kind="stable")[:limit]  # as lvis-api's sort


def _run_lengths(
    prediction: Mapping[str, Any], rows: Tensor, image_id: int, size: tuple[int, int]
) -> list[bytes]:
    if "masks" not in prediction:
        raise ValueError(
            f"metric 'segm' needs masks, the model predicts only {sorted(prediction)}: "
            "set metric='bbox', or use a model with a mask head"
        )
    masks = prediction["masks"]
    if isinstance(masks, Tensor | np.ndarray):
        encoded = [_encode(torch.as_tensor(masks[row])) for row in rows.tolist()]
    else:
        encoded = [masks[row] for row in rows.tolist()]
    for rle in encoded:
        if tuple(rle["size"]) != size:
            raise ValueError(
                f"masks of image {image_id} have (height, width) {tuple(rle['size'])}, "
                f"its annotation says {size}: predict masks at the size of the original image"
            )
    counts = (rle["counts"] for rle in encoded)
    return [text.encode() if isinstance(text, str) else text for text in counts]


def _encode(mask: Tensor) -> dict[str, Any]:
    # A mask at a time stays in the cache: 0.14 ms at 480x640. All of an image at once: 0.5 ms each.
    pixels = mask.cpu().numpy().astype(np.uint8)
    return mask_utils.encode(cv2.transpose(pixels).T)  # COCO's run lengths go down the columns


def top_per_class(images: Sequence[ImageDetections], limit: int) -> list[NDArray[np.bool_]]:
    """Tell for each image which of its N detections are among the ``limit`` best of their class.

    The ranking is over all images, counted or not; of equal scores the earlier image's wins.
    """
    score = np.concatenate([image.score for image in images])
    label = np.concatenate([image.label for image in images])
    order = np.lexsort((-score, label))
    first_of_class = np.searchsorted(label[order], label[order])
    best = np.empty(len(order), dtype=bool)
    best[order] = np.arange(len(order)) - first_of_class < limit
    return np.split(best, np.cumsum([len(image.score) for image in images])[:-1])
