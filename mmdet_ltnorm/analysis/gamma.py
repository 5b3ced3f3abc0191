"""The effective weight and bias vectors of batch norm layers, sorted (NBN paper, Fig. 5)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_ltnorm.results.pictures import PAGE, line_looks, picture, shared_legend
from mmdet_ltnorm.results.scores import over_seeds
from mmdet_ltnorm.results.tables import Table

GRID_COLUMNS = 4


def norm_layers(model: nn.Module) -> dict[str, _BatchNorm]:
    """Return the batch norm layers with an affine part by name: plain, NBN and CBN."""
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, _BatchNorm) and layer.weight is not None
    }


def last_norm(model: nn.Module) -> str:
    """Return the name of the backbone's last batch norm layer outside of a down-sampling branch.

    Raises:
        ValueError: there is no batch norm layer.
    """
    names = [name for name in norm_layers(model) if "downsample" not in name]
    in_backbone = [name for name in names if name.startswith("backbone.")]
    if not names:
        raise ValueError(f"{type(model).__name__} has no batch norm layer")
    return (in_backbone or names)[-1]


def effective_affine(model: nn.Module) -> dict[str, NDArray[np.float32]]:
    r"""Return effective :math:`\gamma` and :math:`\beta` of all layers as (2, M, C) by name.

    M is 1 except for CBN. NBN's are :math:`g\tilde\gamma/\|\tilde\gamma\|` and
    :math:`g\tilde\beta/\|\tilde\beta\|` (NBN paper, Eq. 2).
    """
    return {
        name: np.stack(
            [
                np.atleast_2d(vector.detach().float().cpu().numpy())
                for vector in (layer.weight, layer.bias)
            ]
        )
        for name, layer in norm_layers(model).items()
    }


def mean_over_seeds(
    seeds: Sequence[Mapping[str, NDArray[np.float32]]],
) -> Mapping[str, NDArray[np.float32]]:
    """Return the mean over seeds of the sorted vectors; one seed's are returned unchanged.

    CBN's components have no order of their own: they are first sorted by their mean γ.
    """
    if len(seeds) == 1:
        return seeds[0]
    means = {}
    for name in seeds[0]:
        ordered = [seed[name][:, seed[name][0].mean(-1).argsort()] for seed in seeds]
        means[name] = np.mean([np.sort(affine)[..., ::-1] for affine in ordered], 0)
    return means


def gamma_table(
    models: Mapping[str, Sequence[Mapping[str, NDArray[np.float32]]]], layers: Mapping[str, str]
) -> Table:
    """Return a table of one layer's γ; for several seeds, means with their standard errors."""
    rows = []
    for label, name in layers.items():
        found = [
            (g.min(), g.max(), g.std(ddof=1), g.std(ddof=1) / g.mean())
            for g in (seed[name][0] for seed in models[label])
        ]
        cells = [
            over_seeds([float(v) for v in column], ".3g") for column in zip(*found, strict=True)
        ]
        rows.append([label, name.removeprefix("backbone."), *cells])
    return Table(["", "norm", "least γ", "largest γ", "sd of γ", "sd/mean"], rows)


def draw_gamma(
    models: Mapping[str, Mapping[str, NDArray[np.float32]]], layers: Mapping[str, str], out: Path
) -> None:
    """Draw γ and β of one layer of each model, each sorted in descending order.

    Args:
        models: for each label what :func:`effective_affine` returns.
        layers: for each label the name of the layer.

    Raises:
        ValueError: a model does not have the layer; the message lists those there are.
    """
    with picture(out, 3.0) as figure:
        panels = figure.subplots(2, 1, sharex=True)
        for label, look in _looks(models):
            if layers[label] not in models[label]:
                raise ValueError(
                    f"{label} has no batch norm layer {layers[label]!r}; there are "
                    f"{', '.join(models[label])}"
                )
            _draw_layer(panels, models[label][layers[label]], look)
        panels[0].set_ylabel("effective γ")
        panels[1].set_ylabel("effective β")
        panels[1].set_xlabel("channel, sorted by value")
        panels[0].set_title(", ".join(dict.fromkeys(layers.values())))
        shared_legend(figure)


def draw_gamma_grid(models: Mapping[str, Mapping[str, NDArray[np.float32]]], out: Path) -> None:
    """Draw sorted γ of all layers, one small picture each, over the width of a page."""
    names = list(dict.fromkeys(name for affine in models.values() for name in affine))
    rows = math.ceil(len(names) / GRID_COLUMNS)
    with picture(out, 0.4 + 1.05 * rows, width=PAGE) as figure:
        grid = figure.subplots(rows, GRID_COLUMNS, squeeze=False)
        for axes in grid.flat[len(names) :]:
            axes.set_axis_off()
        for axes, name in zip(grid.flat, names, strict=False):
            for label, look in _looks(models):
                if name in models[label]:
                    _draw_layer([axes], models[label][name], look)
            axes.set_title(name.removeprefix("backbone."), fontsize=6)
            axes.tick_params(labelsize=5.5)
        shared_legend(figure, columns=4)
        figure.supxlabel("channel, sorted by γ", fontsize=7)
        figure.supylabel("effective γ", fontsize=7)


def _looks(
    models: Mapping[str, Mapping[str, NDArray[np.float32]]],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the looks of the models' lines; the legend tells how many lines CBN has in a layer."""
    for label, look in line_looks(models):
        components = max(affine.shape[1] for affine in models[label].values())
        if components > 1:
            look["label"] += f", {components} components"
        yield label, look


def _draw_layer(panels: Any, affine: NDArray[np.float32], look: dict[str, Any]) -> None:
    for axes, components in zip(panels, affine, strict=False):
        label = look["label"]
        for component in components:
            axes.plot(np.sort(component)[::-1], **{**look, "label": label})
            label = None  # one entry of the legend for all components
