"""LVIS's scores as a metric of mmengine: unrounded, fast, and with a small memory."""

import logging
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS

from mmdet_ltnorm.data.annotations import check_names, size_fault
from mmdet_ltnorm.evaluation.detections import ImageDetections, image_detections, top_per_class
from mmdet_ltnorm.evaluation.lvis_annotations import LVISAnnotations
from mmdet_ltnorm.evaluation.lvis_engines import Tables, load_engine
from mmdet_ltnorm.evaluation.lvis_report import (
    average_precision,
    average_recall,
    class_scores,
    score_table,
    write_classes,
)
from mmdet_ltnorm.evaluation.lvis_results import write_lvis_results

PER_IMAGE = 300  # LVIS's limit of detections in an image, over all classes.
PER_CLASS = 10_000  # AP-fixed's limit of detections of a class, over all images.


@METRICS.register_module()
class LTLVISMetric(BaseMetric):
    """AP, AP50, AP75, APs/m/l, APr/c/f and AR of LVIS v1, for boxes and masks.

    The scores are those of lvis-api on the images that were evaluated, with two differences from
    mmdet's ``LVISMetric``: they are not rounded, and masks are sized by their own area instead of
    their box's. A score with no ground truth to measure it is NaN, never 0 (lvis-api: -1).

    Keys are ``lvis/bbox_AP``, ``lvis/segm_APr``, ``lvis/bbox_AR@300``, ...; values lie in [0, 1].

    Args:
        metric: ``'bbox'``, ``'segm'`` or both.
        fixed_ap: Also report ``bbox_AP_fixed``, ``bbox_APr_fixed``, ...: the 10,000 best detections
            of each class over all images, without a limit for an image (Dave et al.,
            "Evaluating Large-Vocabulary Object Detectors: The Devil is in the Details"). It takes
            a model that predicts more than 300 detections an image, of any score.
        per_class_file: Where to write a table of the classes, as ``.json`` or ``.csv``.
        results_file: Where to write the detections that count, as lvis-api's results in ``.json``.
        engine: ``'vernier'``, on all cores, or ``'lvis'``, the reference; the scores are equal.

    Raises:
        ValueError: the data set has not as many classes as the annotation file has categories, or
            predictions do not fit the annotation file.
        ImportError: the engine's package is missing; the message says how to get it.
    """

    default_prefix = "lvis"

    def __init__(
        self,
        ann_file: str,
        metric: str | Sequence[str] = ("bbox", "segm"),
        fixed_ap: bool = False,
        per_class_file: str | None = None,
        results_file: str | None = None,
        engine: str = "vernier",
        collect_device: str = "cpu",
        prefix: str | None = None,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self._iou_types = [metric] if isinstance(metric, str) else list(metric)
        if not self._iou_types or not {"bbox", "segm"}.issuperset(self._iou_types):
            raise ValueError(f"metric must be 'bbox', 'segm' or both, got {metric!r}")
        self._per_class_file = per_class_file and Path(per_class_file)
        if per_class_file and self._per_class_file.suffix not in (".json", ".csv"):
            raise ValueError(f"per_class_file must end in .json or .csv, got {per_class_file!r}")
        self._results_file = results_file
        self._fixed_ap = fixed_ap
        self._engine = load_engine(engine)
        self._annotations = LVISAnnotations(ann_file, backend_args)
        if "segm" in self._iou_types:
            self._annotations.check_masks()
        self._id_order = np.argsort(self._annotations.category_ids)

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any]) -> None:
        """Take the data set's classes; mmengine does so before it trains."""
        classes = dataset_meta.get("classes")
        if classes is not None:
            categories = self._annotations.categories
            names = [category["name"] for category in categories]
            check_names(self._annotations.ann_file, categories, classes, names)
        self._dataset_meta = dataset_meta

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the detections of each image that can count, with masks as run lengths."""
        self.results += map(self._detections, data_samples)

    def _detections(self, sample: dict[str, Any]) -> ImageDetections:
        annotations, image_id = self._annotations, sample["img_id"]
        if image_id not in annotations.size:
            raise ValueError(
                f"image {image_id!r} is not in {annotations.ann_file}: the metric and the data set "
                "must read the same annotation file"
            )
        image, loaded = sample.get("img_path") or f"image {image_id}", sample.get("ori_shape")
        if loaded and (fault := size_fault(image, loaded[:2], annotations.size[image_id])):
            raise ValueError(fault)
        detections = image_detections(
            sample["pred_instances"],
            image_id,
            annotations.size[image_id],
            annotations.annotated[image_id],
            limit=None if self._fixed_ap else PER_IMAGE,
            with_masks="segm" in self._iou_types,
        )
        label, categories = detections.label, len(annotations.categories)
        if label.size and (label.min() < 0 or label.max() >= categories):
            raise ValueError(
                f"the model predicts label {label.max()} in image {image_id}, expected 0 to "
                f"{categories - 1}: {annotations.ann_file} has {categories} categories, set the "
                "model's num_classes to that"
            )
        return detections

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the images of all ranks and score them on the first rank."""
        # Samplers repeat images until all ranks have as many. compute_metrics knows those by their
        # id, so mmengine need not cut off the end of the gathered list.
        return super().evaluate(sys.maxsize)

    def compute_metrics(self, results: list[ImageDetections]) -> dict[str, float]:
        """Score each image once, however many ranks it comes from."""
        if not results:
            raise ValueError("no image was evaluated: the data loader gave none")
        start = time.perf_counter()
        by_id = {image.image_id: image for image in results}
        images = [by_id[image_id] for image_id in sorted(by_id)]
        truth, category_ids = self._annotations.json_bytes(by_id), self._annotations.category_ids
        by_rule = self._by_rule(images)
        if self._results_file:
            write_lvis_results(by_rule[""], category_ids, self._results_file)
        tables = {
            (iou_type, rule): self._engine(truth, chosen, category_ids, iou_type)
            for rule, chosen in by_rule.items()
            for iou_type in self._iou_types
        }
        if self._per_class_file:
            write_classes(self._class_rows(tables, by_id), self._per_class_file)
        frequency = [self._annotations.categories[label]["frequency"] for label in self._id_order]
        scores = {
            (iou_type, rule): average_precision(table, frequency)
            | ({} if rule else average_recall(table))
            for (iou_type, rule), table in tables.items()
        }
        self._log(scores, len(images), time.perf_counter() - start)
        return {
            f"{iou_type}_{name}{rule}": score
            for (iou_type, rule), row in scores.items()
            for name, score in row.items()
        }

    def _by_rule(self, images: list[ImageDetections]) -> dict[str, list[ImageDetections]]:
        """Select the detections to score by LVIS's rule and, as ``'_fixed'``, by AP-fixed's."""
        best = [image.among(np.arange(len(image.score)) < PER_IMAGE) for image in images]
        if not self._fixed_ap:
            return {"": best}
        if all(len(image.score) <= PER_IMAGE for image in images):
            print_log(
                f"no image has more than {PER_IMAGE} detections, so AP-fixed misses some: raise "
                "max_per_img and lower score_thr in the model's test_cfg",
                logger="current",
                level=logging.WARNING,
            )
        chosen = zip(images, top_per_class(images, PER_CLASS), strict=True)
        return {"": best, "_fixed": [image.among(rows) for image, rows in chosen]}

    def _class_rows(
        self, tables: dict[tuple[str, str], Tables], image_ids: Collection[int]
    ) -> list[dict[str, Any]]:
        objects = self._annotations.object_counts(image_ids)
        rows = []
        for place, label in enumerate(self._id_order):
            category = self._annotations.categories[label]
            row = {key: category.get(key) for key in ("id", "name", "frequency")}
            row |= {"train_images": category.get("image_count"), "objects": int(objects[label])}
            for iou_type in self._iou_types:
                scores = class_scores(tables[iou_type, ""], place)
                row |= {f"{iou_type}_{name}": score for name, score in scores.items()}
            rows.append(row)
        return rows

    def _log(
        self, scores: dict[tuple[str, str], dict[str, float]], images: int, seconds: float
    ) -> None:
        all_images = len(self._annotations.size)
        rows = {iou_type + rule: row for (iou_type, rule), row in scores.items()}
        print_log(
            f"{self._annotations.ann_file}: evaluated on {images} of {all_images} images in "
            f"{seconds:.1f} s, scores in percent\n{score_table(rows)}",
            logger="current",
            level=logging.INFO if images == all_images else logging.WARNING,
        )
