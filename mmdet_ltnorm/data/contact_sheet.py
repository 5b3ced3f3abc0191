"""Pictures of a data set in LVIS format with their annotations, on one sheet."""

from collections import defaultdict
from pathlib import Path

import cv2

from mmdet_ltnorm.lettering import drawable, names_as_text
from mmdet_ltnorm.reading import read_json
from mmdet_ltnorm.writing import replacing

GROUPS = {"f": ("frequent", "#2ecc71"), "c": ("common", "#f5b700"), "r": ("rare", "#ff3b6b")}


@names_as_text()
def draw_contact_sheet(
    data_root: str | Path, file: str | Path, *, split: str = "val", rows: int = 3, columns: int = 6
) -> None:
    """Write the first images of a split, masks and names in the colour of the frequency group."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    content = read_json(Path(data_root, "annotations", f"lvis_v1_{split}.json"))
    categories = {category["id"]: category for category in content["categories"]}
    annotations = defaultdict(list)
    for annotation in content["annotations"]:
        annotations[annotation["image_id"]].append(annotation)

    # A Figure of its own, without pyplot: no window system and no global state is touched.
    figure = Figure(figsize=(2 * columns, 2 * rows + 0.3), layout="constrained")
    for axes in figure.subplots(rows, columns).flat:
        axes.set_axis_off()
    for axes, image in zip(figure.axes, content["images"], strict=False):
        picture = cv2.imread(str(Path(data_root, *image["coco_url"].split("/")[-2:])))
        # Pixels cover [i, i + 1], as in polygons.
        axes.imshow(picture[..., ::-1], extent=(0, image["width"], image["height"], 0))
        for annotation in annotations[image["id"]]:
            category = categories[annotation["category_id"]]
            _, colour = GROUPS[category["frequency"]]
            _outline(axes, annotation, drawable(category["name"]), colour)
    handles = [Patch(color=colour, label=label) for label, colour in GROUPS.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    with replacing(file) as partial:
        figure.savefig(partial, dpi=120)


def _outline(axes, annotation: dict, name: str, colour: str) -> None:
    for polygon in annotation["segmentation"]:
        x, y = polygon[0::2], polygon[1::2]
        axes.fill(x, y, facecolor=colour, alpha=0.15)
        axes.fill(x, y, facecolor="none", edgecolor=colour, linewidth=1.2)
    x, y, width, _ = annotation["bbox"]
    box = {"facecolor": colour, "alpha": 0.85, "edgecolor": "none", "pad": 0.6}
    # Above the object; at the image's upper border, within it.
    align = {"ha": "center", "va": "top" if y < 8 else "bottom", "clip_on": True}
    axes.text(x + width / 2, y, name, fontsize=5.5, bbox=box, **align)
