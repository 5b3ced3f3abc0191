"""Pictures of predicted masks beside the ground truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmdet_ltnorm.class_groups import FREQUENCIES, GROUP_COLOURS
from mmdet_ltnorm.lettering import drawable, names_as_text
from mmdet_ltnorm.writing import replacing

COLOURS = dict(zip(FREQUENCIES.values(), GROUP_COLOURS, strict=True))


@names_as_text()
def draw_predictions(
    models: Mapping[str, torch.nn.Module],
    images: Sequence[dict[str, Any]],
    categories: Sequence[dict[str, Any]],
    out: str | Path,
    score_thr: float = 0.5,
) -> None:
    """Draw a row for each image: the ground truth, then each model's detections.

    Outlines are coloured by the frequency group of the category (frequent, common, rare).

    Args:
        models: mmdet detectors in evaluation mode, as ``mmdet.apis.init_detector`` returns them.
        images: for each image its ``img_path`` and ``instances`` as an mmdet data set gives them.
        categories: the LVIS categories, in the order of the labels.
        out: picture to write.
        score_thr: detections below are not drawn.
    """
    from matplotlib.figure import Figure

    columns = len(models) + 1
    figure = Figure(figsize=(2.6 * columns, 2.6 * len(images)), layout="constrained")
    grid = figure.subplots(len(images), columns, squeeze=False)
    for row, image in zip(grid, images, strict=True):
        _draw_row(row, models, image, categories, score_thr)
    for axes, title in zip(grid[0], ["ground truth", *models], strict=True):
        axes.set_title(drawable(title), fontsize=11)
    with replacing(out) as partial:
        figure.savefig(partial, dpi=110)


def _draw_row(
    row: Any,
    models: Mapping[str, torch.nn.Module],
    image: dict[str, Any],
    categories: Sequence[dict[str, Any]],
    score_thr: float,
) -> None:
    from mmcv import imread
    from mmdet.apis import inference_detector

    picture = imread(image["img_path"], channel_order="rgb")
    truth = [
        (_filled(each["mask"], *picture.shape[:2]), each["bbox_label"], None)
        for each in image["instances"]
    ]
    found = [
        _detections(inference_detector(model, image["img_path"]), score_thr)
        for model in models.values()
    ]
    for axes, objects in zip(row, [truth, *found], strict=True):
        axes.imshow(picture)
        axes.axis("off")
        for mask, label, score in objects:
            _outline(axes, mask, categories[label], score)


def _filled(polygons: list[list[float]], height: int, width: int) -> np.ndarray:
    import pycocotools.mask as mask_api

    return mask_api.decode(mask_api.merge(mask_api.frPyObjects(polygons, height, width)))


def _detections(sample: Any, score_thr: float) -> list[tuple[np.ndarray, int, float]]:
    found = sample.pred_instances.cpu()
    found = found[found.scores >= score_thr].numpy()
    return list(zip(found["masks"], found["labels"], found["scores"], strict=True))


def _outline(axes: Any, mask: np.ndarray, category: dict[str, Any], score: float | None) -> None:
    if not mask.any():
        return
    colour = COLOURS[category["frequency"]]
    axes.contour(mask, levels=[0.5], colors=[colour], linewidths=1.5)
    rows, columns = np.nonzero(mask)
    text = drawable(category["name"]) + ("" if score is None else f" {score:.2f}")
    box = dict(facecolor=colour, edgecolor="none", alpha=0.75, pad=1)
    axes.text(columns.min(), rows.min(), text, fontsize=6, color="white", bbox=box, clip_on=True)
