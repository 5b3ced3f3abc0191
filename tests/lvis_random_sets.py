"""Random LVIS ground truth and predictions, and their scores by LTLVISMetric and by lvis-api."""

import json
from pathlib import Path

import numpy as np
import pycocotools.mask as mask_utils
import torch
from mmengine.evaluator import Evaluator

import mmdet_ltnorm.evaluation  # noqa: F401


def random_set(seed: int, num_images: int = 6, num_classes: int = 7) -> tuple[dict, list[dict]]:
    """Return an annotation file's content and mmdet's data samples for its images.

    Ids have gaps and no order; scores tie; some images have no objects, no detections, or more than
    300; some masks and boxes are empty, and boxes do not belong to the masks.
    """
    rng = np.random.default_rng(seed)
    ids = (3 * rng.permutation(num_classes) + 2).tolist()
    # The first category never occurs, and neither does its frequency.
    categories = [
        dict(id=i, name=f"c{i}", frequency="c" if k == 0 else "rf"[k % 2], image_count=k)
        for k, i in enumerate(ids)
    ]
    content = dict(images=[], annotations=[], categories=categories)
    samples = []
    for image_id in (7 * rng.permutation(num_images) + 4).tolist():
        height, width = rng.integers(60, 160, size=2).tolist()
        groups = np.split(rng.permutation(ids[1:]), np.sort(rng.integers(0, 5, size=2)))
        present, absent = groups[0].tolist(), groups[1].tolist()
        not_exhaustive = [i for i in present if rng.random() < 0.3]
        content["images"].append(
            dict(id=image_id, height=height, width=width, coco_url="http://none/1.jpg")
            | dict(neg_category_ids=absent, not_exhaustive_category_ids=not_exhaustive)
        )
        objects = []
        for category_id in present:
            for _ in range(rng.integers(1, 5)):
                annotation = _object(rng, height, width) | dict(image_id=image_id)
                annotation |= dict(category_id=category_id, id=len(content["annotations"]) + 1)
                content["annotations"].append(annotation)
                objects.append(annotation)
        samples.append(_sample(rng, content["images"][-1], objects, ids))
    return content, samples


def _object(rng: np.random.Generator, height: int, width: int) -> dict:
    mask = _blob(rng, height, width)
    rle = mask_utils.encode(np.asfortranarray(mask))
    x, y, w, h = box = mask_utils.toBbox(rle).tolist()
    kinds = [
        [[x, y, x + w, y, x + w / 2, y + h - 0.3], [x, y + h, x + 0.6 * w, y + h, x, y + h / 3]],
        dict(size=rle["size"], counts=rle["counts"].decode()),
    ]
    area = float(mask.sum()) * rng.choice([1.0, 1.3])
    return dict(bbox=box, area=area, segmentation=kinds[rng.integers(2)])


def _blob(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = np.ogrid[:height, :width]
    center_y, center_x = rng.uniform(0, height), rng.uniform(0, width)
    radius_y, radius_x = rng.uniform(3, 70, size=2)
    inside = ((y - center_y) / radius_y) ** 2 + ((x - center_x) / radius_x) ** 2 < 1
    inside[int(center_y), int(center_x)] = True
    return inside.astype(np.uint8)


def _sample(rng: np.random.Generator, image: dict, objects: list[dict], ids: list[int]) -> dict:
    count = rng.choice([0, 4, 40, 341])
    height, width = image["height"], image["width"]
    bboxes, masks, labels = np.zeros((count, 4)), np.zeros((count, height, width), bool), []
    for row in range(count):
        if objects and rng.random() < 0.7:
            target = objects[rng.integers(len(objects))]
            x, y, w, h = target["bbox"] + rng.normal(0, 3, size=4)
            masks[row] = np.roll(_decoded(target, image), rng.integers(-4, 5, size=2), axis=(0, 1))
            category_id = target["category_id"] if rng.random() < 0.8 else rng.choice(ids)
        else:
            x, y, w, h = rng.uniform(1, 90, size=4)
            masks[row] = _blob(rng, height, width)
            category_id = rng.choice(ids)
        bboxes[row] = x, y, x + max(w, 0), y + max(h, 0)
        masks[row] &= rng.random() > 0.05
        labels.append(ids.index(category_id))
    bboxes[rng.random(count) < 0.05, 2] = 0
    prediction = dict(
        bboxes=torch.tensor(np.maximum(bboxes, bboxes[:, [0, 1, 0, 1]]), dtype=torch.float32),
        scores=torch.tensor(rng.integers(0, 15, size=count) / 15, dtype=torch.float32),
        labels=torch.tensor(labels, dtype=torch.int64),
        masks=torch.from_numpy(masks),
    )
    return dict(img_id=image["id"], ori_shape=(height, width), pred_instances=prediction)


def _decoded(annotation: dict, image: dict) -> np.ndarray:
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, list):
        parts = mask_utils.frPyObjects(segmentation, image["height"], image["width"])
        segmentation = mask_utils.merge(parts)
    return mask_utils.decode(segmentation).astype(bool)


def write(content: dict, folder: Path) -> str:
    path = folder / "val.json"
    path.write_text(json.dumps(content))
    return str(path)


def evaluate(content: dict, samples: list, folder: Path, **options) -> dict[str, float]:
    """Return LTLVISMetric's scores, given the samples in batches of two, as by a Runner."""
    metric = dict(type="LTLVISMetric", ann_file=write(content, folder)) | options
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dict(classes=[c["name"] for c in content["categories"]])
    for start in range(0, len(samples), 2):
        evaluator.process(samples[start : start + 2])
    return evaluator.evaluate(len(samples))


def lvis_results(content: dict, samples: list[dict], iou_type: str) -> list[dict]:
    """Return the predictions as entries of LVIS's results format, masks without boxes."""
    results = []
    for sample in samples:
        prediction = sample["pred_instances"]
        for row, (x1, y1, x2, y2) in enumerate(prediction["bboxes"].tolist()):
            result = dict(
                image_id=sample["img_id"],
                category_id=content["categories"][prediction["labels"][row]]["id"],
                score=prediction["scores"][row].item(),
            )
            if iou_type == "bbox":
                result["bbox"] = [x1, y1, x2 - x1, y2 - y1]
            else:
                mask = prediction["masks"][row].numpy().astype(np.uint8)
                result["segmentation"] = mask_utils.encode(np.asfortranarray(mask))
            results.append(result)
    return results


def lvis_api_scores(
    content: dict,
    results: list[dict],
    iou_type: str,
    folder: Path,
    image_ids: list[int] | None = None,
    max_dets: int = 300,
) -> dict[str, float]:
    """Return lvis-api's scores; it needs ``np.float``, which NumPy 1.24 removed."""
    from lvis import LVIS, LVISEval, LVISResults

    path = folder / "oracle.json"
    path.write_text(json.dumps(content))
    truth = LVIS(str(path))
    evaluation = LVISEval(truth, LVISResults(truth, results, max_dets=max_dets), iou_type)
    if image_ids is not None:
        evaluation.params.img_ids = image_ids
    evaluation.run()
    return {name: np.nan if value == -1 else value for name, value in evaluation.results.items()}
