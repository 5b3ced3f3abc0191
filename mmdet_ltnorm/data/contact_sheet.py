"""Images of a data set with their annotations, on one sheet."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mmdet_ltnorm.class_groups import FREQUENCIES, GROUP_COLOURS
from mmdet_ltnorm.lettering import drawable, names_as_text
from mmdet_ltnorm.reading import read_json
from mmdet_ltnorm.writing import replacing

COLOURS = dict(zip(FREQUENCIES.values(), GROUP_COLOURS, strict=True))


class Outlined(NamedTuple):
    """An object: its class, its box (x, y, width, height), and polygons (x, y, x, y, ...)."""

    name: str
    colour: str
    box: Sequence[float]
    polygons: Sequence[Sequence[float]]


class Cell(NamedTuple):
    """An RGB image of a sheet, with its objects or its class."""

    image: NDArray[np.uint8]
    objects: Sequence[Outlined] = ()
    title: str = ""
    colour: str = "black"


@names_as_text()
def draw_sheet(
    cells: Sequence[Cell], legend: Mapping[str, str], file: str | Path, columns: int
) -> None:
    """Write images side by side, with a legend of the colours below."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows = -(-len(cells) // columns)
    # A Figure of its own, without pyplot: no window system and no global state is touched.
    figure = Figure(figsize=(2 * columns, 2 * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for axes in grid:
        axes.set_axis_off()
    for axes, cell in zip(figure.axes, cells, strict=False):
        height, width = cell.image.shape[:2]
        # Pixels cover [i, i + 1], as in polygons.
        axes.imshow(cell.image, extent=(0, width, height, 0))
        if cell.title:
            axes.set_title(drawable(cell.title, longest=24), color=cell.colour, fontsize=9)
        for each in cell.objects:
            _outline(axes, each, height)
    if handles := [Patch(color=colour, label=label) for label, colour in legend.items()]:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=len(handles), frameon=False
        )
    with replacing(file) as partial:
        figure.savefig(partial, dpi=120)


def draw_contact_sheet(
    data_root: str | Path, file: str | Path, *, split: str = "val", rows: int = 3, columns: int = 6
) -> None:
    """Write the first images of a split, masks and names in the colour of the frequency group."""
    content = read_json(Path(data_root, "annotations", f"lvis_v1_{split}.json"))
    categories = {category["id"]: category for category in content["categories"]}
    objects = defaultdict(list)
    for note in content["annotations"]:
        category = categories[note["category_id"]]
        colour = COLOURS[category["frequency"]]
        objects[note["image_id"]].append(
            Outlined(category["name"], colour, note["bbox"], note["segmentation"])
        )
    cells = []
    for image in content["images"][: rows * columns]:
        picture = cv2.imread(str(Path(data_root, *image["coco_url"].split("/")[-2:])))
        cells.append(Cell(picture[..., ::-1], objects[image["id"]]))
    draw_sheet(cells, dict(zip(FREQUENCIES, GROUP_COLOURS, strict=True)), file, columns)


def _outline(axes: Any, each: Outlined, height: int) -> None:
    for polygon in each.polygons:
        x, y = polygon[0::2], polygon[1::2]
        axes.fill(x, y, facecolor=each.colour, alpha=0.15)
        axes.fill(x, y, facecolor="none", edgecolor=each.colour, linewidth=1.2)
    x, y, width, _ = each.box
    look = {"color": "white", "fontsize": 5.5, "ha": "center", "clip_on": True}
    look["bbox"] = {"facecolor": each.colour, "alpha": 0.85, "edgecolor": "none", "pad": 0.6}
    name = drawable(each.name, longest=24)
    if 16 * y < height:  # above the object; at the image's upper border, within it
        axes.text(x + width / 2, y + 0.01 * height, name, va="top", **look)
    else:
        axes.text(x + width / 2, y, name, va="bottom", **look)
