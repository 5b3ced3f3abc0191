"""Pictures of predictions."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.structures import BaseDataElement, InstanceData
from numpy.typing import NDArray

from mmdet_ltnorm.class_groups import GROUP_COLOURS
from mmdet_ltnorm.lettering import drawable, names_as_text
from mmdet_ltnorm.results.groups import Groups, group_colours
from mmdet_ltnorm.results.pictures import picture
from mmdet_ltnorm.writing import replacing

# In pixels: smaller images are enlarged, so that names can be read, but not beyond the second.
SHORTEST, LONGEST = 480, 1920


def draw_classes(
    image: NDArray[np.uint8],
    entries: Sequence[Mapping[str, Any]],
    groups: Groups,
    out: str | Path,
) -> None:
    """Draw an RGB image, and beside it a bar for each class in the colour of its group."""
    colours = group_colours(groups)
    with picture(out, height=1.6) as figure:
        shown, bars = figure.subplots(1, 2, width_ratios=(1, 1.2))
        shown.imshow(image, interpolation="nearest" if max(image.shape) < 100 else None)
        shown.axis("off")
        for row, entry in enumerate(entries):
            colour = colours.get(entry.get("group"), GROUP_COLOURS[0])
            bars.barh(row, 100 * entry["score"], color=colour, height=0.35, align="edge")
            text = f"{drawable(entry['class'])}  {100 * entry['score']:.1f} %"
            bars.text(0, row - 0.08, text, fontsize=6.5, va="bottom")
        bars.set(xlim=(0, 100), ylim=(len(entries) - 0.5, -0.6), yticks=[], xlabel="probability, %")
        bars.grid(visible=False)
        bars.spines[["top", "left", "right"]].set_visible(False)
        present = {entry["group"] for entry in entries if "group" in entry}
        for name in [name for name in groups if name in present]:
            bars.barh(0, 0, color=colours[name], label=name)
        if present:
            figure.legend(loc="outside lower center", ncols=3)


def draw_detections(
    image: NDArray[np.uint8],
    sample: BaseDataElement,
    class_names: Sequence[str],
    groups: Groups,
    score_thr: float,
    out: str | Path,
) -> None:
    """Draw boxes, masks, names and scores in percent on an RGB image, by mmdet's visualizer."""
    import matplotlib
    from mmdet.visualization import DetLocalVisualizer

    class Visualizer(DetLocalVisualizer):
        """mmdet's visualizer, with the fonts that the names need."""

        def draw_texts(self, texts: Any, *args: Any, **options: Any) -> Any:
            fonts = [matplotlib.rcParams["font.family"]] * (
                1 if isinstance(texts, str) else len(texts)
            )
            return super().draw_texts(texts, *args, **options, font_families=fonts)

    palette: Any = "random"
    if groups:
        palette = [(0, 0, 0)] * len(class_names)
        for name, colour in group_colours(groups).items():
            for label in groups[name]:
                palette[label] = tuple(bytes.fromhex(colour[1:]))
    visualizer = Visualizer(line_width=2, alpha=0.5)
    visualizer.dataset_meta = {"palette": palette}
    image, sample = _enlarged(image, sample)
    with replacing(out) as partial, names_as_text(), warnings.catch_warnings():
        # It warns of what touches the image's border.
        warnings.filterwarnings("ignore", ".*out of bounds", UserWarning)
        visualizer.dataset_meta["classes"] = [drawable(name) for name in class_names]
        visualizer.add_datasample(
            "", image, sample, draw_gt=False, pred_score_thr=score_thr, out_file=str(partial)
        )


def _enlarged(
    image: NDArray[np.uint8], sample: BaseDataElement
) -> tuple[NDArray[np.uint8], BaseDataElement]:
    height, width = image.shape[:2]
    factor = max(1, min(-(-SHORTEST // min(height, width)), LONGEST // max(height, width)))
    found = sample.pred_instances
    larger = InstanceData(bboxes=found.bboxes * factor, labels=found.labels, scores=found.scores)
    if "masks" in found:
        larger.masks = found.masks.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    larger_image = mmcv.imrescale(image, factor, interpolation="nearest")
    return larger_image, type(sample)(pred_instances=larger)
