"""NBN's magnitude g over training (NBN paper, Fig. 2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmdet_ltnorm.results.logs import read_scalars
from mmdet_ltnorm.results.pictures import draw_seeds, line_looks, picture, shared_legend


def magnitude_curves(work_dir: str | Path) -> dict[str, NDArray[np.float64]]:
    """Return the iterations and values, (2, T), of each magnitude that ``MagnitudeHook`` logged.

    Raises:
        ValueError: the logs hold none.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    for record in read_scalars(work_dir):
        for name, value in record.items():
            if "iter" in record and name.endswith("magnitude"):
                points.setdefault(name, []).append((record["iter"], value))
    if not points:
        raise ValueError(
            f"no NBN in the logs of {work_dir}: expected a run with NBN layers and "
            "dict(type='MagnitudeHook') in custom_hooks, which logs their magnitude"
        )
    return {name: np.array(curve).T for name, curve in points.items()}


def draw_magnitude(
    models: Mapping[str, Sequence[Mapping[str, NDArray[np.float64]]]], out: Path
) -> None:
    """Draw g of each model, averaged over its seeds; all magnitudes of a model look alike."""
    with picture(out, 2.2) as figure:
        axes = figure.subplots()
        for label, look in line_looks(models):
            seeds = models[label]
            for index, name in enumerate(seeds[0]):
                own = {**look, "label": None if index else look["label"]}
                draw_seeds(axes, [list(zip(*seed[name], strict=True)) for seed in seeds], own)
        axes.set_xlabel("iteration")
        axes.set_ylabel("magnitude g")
        shared_legend(figure)
