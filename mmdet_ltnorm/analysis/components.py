"""Which components of a CBN layer the classes use (CBN paper, Eq. 7-8)."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mmdet_ltnorm.analysis.capture import inputs_of, labelled_batches
from mmdet_ltnorm.lettering import drawable
from mmdet_ltnorm.norms import CBN
from mmdet_ltnorm.norms.diagnostics import component_distances
from mmdet_ltnorm.results.groups import Groups, group_means
from mmdet_ltnorm.results.pictures import annotate_cells, picture
from mmdet_ltnorm.results.trained import is_detector


def cbn_layer(model: nn.Module, name: str | None = None) -> tuple[str, CBN]:
    """Return a CBN layer, by default the last one, and its name.

    Raises:
        ValueError: the model has no CBN layer, or none of that name; the message lists them.
    """
    layers = {n: module for n, module in model.named_modules() if isinstance(module, CBN)}
    if not layers:
        raise ValueError(
            f"{type(model).__name__} has no CBN layer, whose components would be shown"
        )
    name = name or list(layers)[-1]
    if name not in layers:
        raise ValueError(f"there is no CBN layer {name!r}; there are {', '.join(layers)}")
    return name, layers[name]


def component_statistics(
    model: nn.Module, loader: Any, groups: Groups, name: str | None = None
) -> dict[str, Any]:
    r"""Return how the components of one CBN layer divide labelled images.

    ``responsibilities`` (G, M): the mean over the classes of a group of the mean
    :math:`w_{ij}` over the pixels of a class; ``prior`` (M,); ``distances`` (M, M) between means,
    in standard deviations per channel; ``entropy`` and ``mutual_information`` of the
    responsibilities, as ``CBN.diagnostics`` defines them.

    Raises:
        TypeError: a detector, whose images have no class.
        ValueError: what :func:`cbn_layer` raises.
    """
    name, layer = cbn_layer(model, name)
    if is_detector(model):
        raise TypeError(
            f"components are shown by the class of an image, expected an image classifier, got a "
            f"{type(model).__name__}"
        )
    unit = math.log(max(layer.num_components, 2))
    sums, images, entropy = _responsibilities(model, loader, layer)
    of_class = sums / np.where(images > 0, images, np.nan)  # (M, K)
    overall = torch.special.entr(torch.tensor(sums.sum(1) / images.sum())).sum()
    entropy /= unit
    return {
        "layer": name,
        "groups": list(groups),
        "responsibilities": np.stack(list(group_means(of_class, groups).values())),
        "prior": layer.prior.double().cpu().numpy(),
        "distances": component_distances(layer.running_mean, layer.running_var).cpu().numpy(),
        "entropy": entropy,
        "mutual_information": float(overall) / unit - entropy,
    }


def _responsibilities(
    model: nn.Module, loader: Any, layer: CBN
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return the sum (M, K) of each class's image means, the images (K,), and the entropy."""
    total: Any = 0
    entropy, pixels = 0.0, 0
    with inputs_of(layer) as inputs:
        for _, logits, labels in labelled_batches(model, loader):
            weights = layer.responsibilities(torch.cat(inputs)).double().flatten(2)  # (B, M, P)
            inputs.clear()
            entropy += float(torch.special.entr(weights).sum())
            pixels += weights.shape[0] * weights.shape[2]
            rows = torch.cat([weights.mean(2), weights.new_ones(len(weights), 1)], 1)
            zeros = rows.new_zeros(logits.shape[1], rows.shape[1])
            total = total + zeros.index_add(0, labels, rows)
    *sums, images = total.cpu().numpy().T
    return np.stack(sums), images, entropy / pixels


def draw_components(models: Mapping[str, Mapping[str, Any]], out: Path) -> None:
    """Draw a row for each model: responsibilities by group with the priors, and the distances."""
    with picture(out, 0.2 + 1.75 * len(models)) as figure:
        grid = figure.subplots(len(models), 2, squeeze=False, width_ratios=(1.15, 1))
        for row, (label, found) in zip(grid, models.items(), strict=True):
            shares = np.vstack([found["prior"], found["responsibilities"]])
            row[0].imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
            annotate_cells(row[0], shares)
            row[0].set_yticks(range(len(shares)), ["prior τ", *found["groups"]])
            row[0].set_title(f"{drawable(label)}\nmean responsibility", fontsize=6.5)
            distances = found["distances"]
            row[1].imshow(distances, cmap="cividis", vmin=0, aspect="auto")
            annotate_cells(row[1], distances)
            row[1].set_yticks(range(len(distances)), range(1, len(distances) + 1))
            row[1].set_ylabel("component", labelpad=1)
            row[1].set_title(
                f"{found['layer'].removeprefix('backbone.')}\ndistance of means, sd", fontsize=6.5
            )
            for axes in row:
                axes.set_xticks(range(len(distances)), range(1, len(distances) + 1))
                axes.set_xlabel("component")
                axes.grid(False)
