"""Precision and recall tables of LVIS, by vernier (fast) or by lvis-api (the reference)."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pycocotools.mask as mask_utils
from numpy.typing import NDArray

from mmdet_ltnorm.evaluation.detections import ImageDetections
from mmdet_ltnorm.writing import write_bytes

VERNIER_VERSION = "0.5.4"
_NO_LIMIT = 2**31 - 1
_ALL_CORES = 0  # the matches are the same with any number of threads


class Tables(NamedTuple):
    """Tables over T IoU thresholds, R recalls, K categories by id, A areas; -1 without objects.

    Shapes: ``precision`` (T, R, K, A), ``recall`` (T, K, A), with T = 0.5, 0.55, ..., 0.95;
    R = 0, 0.01, ..., 1; A = all, below 32², 32² to 96², above 96² pixels.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


Engine = Callable[[bytes, Sequence[ImageDetections], NDArray[np.int64], str], Tables]


def vernier_tables(
    gt_json: bytes,
    images: Sequence[ImageDetections],
    category_ids: NDArray[np.int64],
    iou_type: str,
) -> Tables:
    """Score the counted detections of ``images``; ``category_ids`` gives each label's category."""
    grid = _vernier_grid(gt_json, images, category_ids, iou_type)
    table = grid.accumulate([_NO_LIMIT])
    return Tables(np.asarray(table.precision)[..., 0], np.asarray(table.recall)[..., 0])


def vernier_cells(
    gt_json: bytes,
    images: Sequence[ImageDetections],
    category_ids: NDArray[np.int64],
    iou_type: str,
) -> list[dict[str, Any] | None]:
    """Return lvis-api's ``eval_imgs`` of all areas, by category id, then image id.

    Those are the matches of one category in one image, None where neither has anything.
    """
    areas = _import_vernier().Breakdown.from_ranges("area", [("all", 0, 1e10)])
    options = dict(area_ranges=areas, retain_meta=True)
    return _vernier_grid(gt_json, images, category_ids, iou_type, **options).eval_imgs()


def _vernier_grid(
    gt_json: bytes,
    images: Sequence[ImageDetections],
    category_ids: NDArray[np.int64],
    iou_type: str,
    retain_meta: bool = False,
    **options: Any,
) -> Any:
    core = _import_vernier()
    masks = iou_type == "segm"
    evaluate = core.evaluate_segm_grid if masks else core.evaluate_bbox_grid
    return evaluate(
        core.CocoDataset.from_lvis_json(gt_json),
        [_vernier_input(image, category_ids, masks) for image in images],
        parity_mode="strict",
        max_dets_per_image=_NO_LIMIT,
        use_cats=True,
        retain_meta=retain_meta,
        num_threads=_ALL_CORES,
        # A mask is small or large by its own area; mmdet goes by the area of its box.
        dt_area="mask" if masks else "bbox",
        **options,
    )


def _vernier_input(
    image: ImageDetections, category_ids: NDArray[np.int64], masks: bool
) -> dict[str, Any]:
    rles = _coco_rles(image) if masks else []
    # One by one: pycocotools 2.0.11 with NumPy 2 fails on a list of more than 255.
    area = [mask_utils.area(rle) for rle in rles] if masks else image.box[:, 2] * image.box[:, 3]
    # lvis-api leaves out detections without area, vernier would count them as false.
    kept = np.flatnonzero(np.asarray(area) > 0)
    rows = image.counted[kept]
    detections = {
        "image_id": image.image_id,
        "boxes": image.box[kept],
        "scores": image.score[rows],
        "labels": category_ids[image.label[rows]],
    }
    return detections | ({"rles": [rles[row] for row in kept]} if masks else {})


def lvis_api_tables(
    gt_json: bytes,
    images: Sequence[ImageDetections],
    category_ids: NDArray[np.int64],
    iou_type: str,
) -> Tables:
    """Score as :func:`vernier_tables` does, slowly, with the data set's own code."""
    lvis = _import_lvis()
    # LVISResults fails on an empty list; a detection without area is the same, and accepted.
    images = images if any(len(image.counted) for image in images) else [_no_area(images[0])]
    results = [
        result for image in images for result in _lvis_results(image, category_ids, iou_type)
    ]
    with tempfile.TemporaryDirectory() as folder, _numpy_with_float(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # It calls Logger.warn.
        path = Path(folder, "annotations.json")
        write_bytes(path, gt_json)
        truth = lvis.LVIS(str(path))
        evaluation = lvis.LVISEval(truth, lvis.LVISResults(truth, results, max_dets=-1), iou_type)
        evaluation.evaluate()
        evaluation.accumulate()
    return Tables(evaluation.eval["precision"], evaluation.eval["recall"])


def _lvis_results(
    image: ImageDetections, category_ids: NDArray[np.int64], iou_type: str
) -> Iterator[dict[str, Any]]:
    # Without boxes where masks are scored, or lvis-api would size the masks by them.
    key, shapes = ("segmentation", _coco_rles(image)) if iou_type == "segm" else ("bbox", image.box)
    for row, shape in zip(image.counted, shapes, strict=True):
        yield {
            "image_id": image.image_id,
            "category_id": int(category_ids[image.label[row]]),
            "score": float(image.score[row]),
            key: shape,
        }


def _coco_rles(image: ImageDetections) -> list[dict[str, Any]]:
    return [{"counts": counts, "size": image.size} for counts in image.rle or []]


def _no_area(image: ImageDetections) -> ImageDetections:
    empty_mask = mask_utils.encode(np.zeros(image.size, dtype=np.uint8, order="F"))
    zero = np.zeros(1, dtype=np.int64)
    return ImageDetections(
        image.image_id, image.size, zero, zero, zero, np.zeros((1, 4)), [empty_mask["counts"]]
    )


def _import_vernier() -> ModuleType:
    line = f"pip install vernier=={VERNIER_VERSION}"
    try:
        import vernier
        from vernier import _core
    except ImportError as error:
        raise ImportError(
            f"engine='vernier' needs vernier: {line}; or set engine='lvis'"
        ) from error
    if vernier.__version__ != VERNIER_VERSION:
        raise ImportError(
            f"engine='vernier' calls parts of vernier that are only known in {VERNIER_VERSION}, "
            f"found {vernier.__version__}: {line}; or set engine='lvis'"
        )
    return _core


def _import_lvis() -> ModuleType:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        import lvis
    except ImportError as error:
        raise ImportError("engine='lvis' needs lvis-api: pip install lvis") from error
    finally:  # Its import configures everybody's logging.
        root.handlers[:] = handlers
        root.setLevel(level)
    return lvis


@contextmanager
def _numpy_with_float() -> Iterator[None]:
    """Restore for a moment the ``np.float`` that lvis 0.5.3 uses and NumPy 1.24 removed."""
    if hasattr(np, "float"):
        yield
        return
    np.float = float
    try:
        yield
    finally:
        del np.float


_ENGINES = {
    "vernier": (_import_vernier, vernier_tables),
    "lvis": (_import_lvis, lvis_api_tables),
}


def load_engine(name: str) -> Engine:
    """Return ``vernier_tables`` or ``lvis_api_tables``, after a check of its package."""
    if name not in _ENGINES:
        raise ValueError(f"engine must be one of {list(_ENGINES)}, got {name!r}")
    import_package, tables = _ENGINES[name]
    import_package()
    return tables
