"""Curves of runs: loss, scores and the magnitude of NBN."""

from collections.abc import Mapping
from pathlib import Path

from mmdet_ltnorm.lettering import names_as_text
from mmdet_ltnorm.results.logs import read_scalars
from mmdet_ltnorm.results.pictures import line_looks
from mmdet_ltnorm.writing import replacing


@names_as_text()
def plot_curves(runs: Mapping[str, str | Path], out: str | Path) -> None:
    """Draw loss, mask AP (all and rare) and g of several LVIS runs side by side.

    Args:
        runs: work directories by the name that the legend shows.
        out: picture to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    loss_axes, score_axes, magnitude_axes = figure.subplots(1, 3)
    for name, line in line_looks(runs):
        records = read_scalars(runs[name])
        train = [record for record in records if "loss" in record]
        steps = [record["iter"] for record in train]
        loss_axes.plot(steps, [record["loss"] for record in train], **line)
        scores = [record for record in records if "lvis/segm_AP" in record]
        epochs = [record["step"] for record in scores]
        for key, marker in ("AP", "o"), ("APr", "^"):
            points = [100 * record[f"lvis/segm_{key}"] for record in scores]
            score_axes.plot(
                epochs, points, marker=marker, **{**line, "label": f"{line['label']}, {key}"}
            )
        magnitudes = [(r["iter"], r["magnitude"]) for r in train if "magnitude" in r]
        if magnitudes:
            magnitude_axes.plot(*zip(*magnitudes, strict=True), **line)
    titles = ("training loss", "mask AP on validation images", "magnitude g of NBN")
    for axes, title, unit in zip(
        figure.axes, titles, ("iteration", "epoch", "iteration"), strict=True
    ):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(unit)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    score_axes.set_ylim(bottom=0)
    with replacing(out) as partial:
        figure.savefig(partial, dpi=150)
