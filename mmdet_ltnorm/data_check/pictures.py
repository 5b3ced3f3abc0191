"""Pictures of a data set: the number of images of each class, and samples."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as mask_utils

from mmdet_ltnorm.data.annotations import run_lengths
from mmdet_ltnorm.data.contact_sheet import Cell, Outlined, draw_sheet
from mmdet_ltnorm.data_check.images import load_image
from mmdet_ltnorm.data_check.splits import Split
from mmdet_ltnorm.lettering import drawable
from mmdet_ltnorm.results.groups import Groups, group_colours
from mmdet_ltnorm.results.pictures import MARKERS, picture

CELLS, COLUMNS = 18, 6
NAMED = 40  # classes that are named below their bars


def draw_counts(splits: Sequence[Split], groups: Groups, out: Path) -> None:
    """Draw the images of each class: a bar for the first split, a mark for each other."""
    first, *others = splits
    order = np.argsort(-first.images, kind="stable")
    with picture(out, 2.4, 6.9) as figure:
        axes = figure.subplots()
        shown = groups or {"": order}
        colours = group_colours(shown)
        for name, classes in shown.items():
            places = np.flatnonzero(np.isin(order, classes))
            label = f"{first.title}: {name} ({len(classes)})" if name else first.title
            axes.bar(places, first.images[order[places]], 0.8, color=colours[name], label=label)
        for split, marker in zip(others, MARKERS, strict=False):
            if len(split.images) == len(order):
                axes.plot(split.images[order], marker, color="black", label=split.title)
        axes.set_yscale("symlog", linthresh=1)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set(ylabel="images of the class", xlim=(-0.7, len(order) - 0.3), ylim=(0, None))
        axes.grid(visible=False, axis="x")
        if len(order) > NAMED:
            axes.set_xlabel("classes, by training images")
        else:
            names = [drawable(first.names[label], longest=24) for label in order]
            turned = {"rotation": 90} if sum(map(len, names)) > 80 else {}
            axes.set_xticks(range(len(order)), names, **turned)
        figure.legend(loc="outside upper center", ncols=4)


def draw_samples(split: Split, groups: Groups, out: Path) -> None:
    """Draw images of classes from the most to the least frequent, with what is annotated."""
    group_of = {label: name for name, labels in groups.items() for label in labels}
    colours = group_colours(groups or [""])
    cells = []
    for part, info, label in _chosen(split):
        try:
            image = load_image(part, info)["img"]
        except (OSError, ValueError):  # the check of images names it
            continue
        image = image[..., 2::-1] if image.ndim == 3 else np.stack(3 * [image], axis=-1)
        colour = {each: colours[group_of.get(each, "")] for each in range(len(split.names))}
        objects = _outlined(info, image.shape[:2], split.names, colour)
        title = "" if split.is_of_objects else split.names[label]
        cells.append(Cell(np.clip(image, 0, 255).astype(np.uint8), objects, title, colour[label]))
    if cells:
        legend = {name: colour for name, colour in colours.items() if name}
        draw_sheet(cells, legend, out, COLUMNS)


def _chosen(split: Split) -> Iterator[tuple[Any, Mapping[str, Any], int]]:
    """Yield images, each for a class; the classes are spread evenly over their frequencies."""
    order = np.argsort(-split.images, kind="stable")
    order = order[split.images[order] > 0]
    wanted = order[np.linspace(0, len(order) - 1, CELLS).astype(int)] if len(order) else order
    places: dict[int, list[tuple[Any, int]]] = {label: [] for label in wanted.tolist()}
    for part, index in split.infos():
        info = part.get_data_info(index)
        labels = {each["bbox_label"] for each in info.get("instances", ())}
        for label in labels or {info.get("gt_label")}:
            if len(places.get(label, [None] * CELLS)) < CELLS:
                places[label].append((part, index))
    taken = set()
    for label in wanted.tolist():
        found = next((p for p in places[label] if (id(p[0]), p[1]) not in taken), None)
        if found:
            taken.add((id(found[0]), found[1]))
            yield found[0], found[0].get_data_info(found[1]), label


def _outlined(
    info: Mapping[str, Any], size: tuple[int, int], names: Sequence[str], colour: Mapping[int, str]
) -> list[Outlined]:
    found = []
    for each in info.get("instances", ()):
        left, top, right, bottom = each["bbox"]
        corners = [left, top, right, top, right, bottom, left, bottom]
        shapes = _polygons(each["mask"], size) if each.get("mask") else [corners]
        label = each["bbox_label"]
        box = (left, top, right - left, bottom - top)
        found.append(Outlined(names[label], colour[label], box, shapes))
    return found


def _polygons(mask: Any, size: tuple[int, int]) -> list[Any]:
    if isinstance(mask, list):
        return mask
    contours, _ = cv2.findContours(
        mask_utils.decode(run_lengths(mask, size)), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return [contour.reshape(-1) for contour in contours]
