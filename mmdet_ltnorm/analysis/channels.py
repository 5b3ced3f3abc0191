"""Which channels of the classifier's input carry rare and frequent classes (NBN paper, Table V)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mmdet_ltnorm.analysis.capture import Batch, classifier_layer, evaluating, labelled_batches
from mmdet_ltnorm.class_groups import GROUP_COLOURS
from mmdet_ltnorm.lettering import drawable
from mmdet_ltnorm.results.groups import Groups, checked_group, class_means, group_means
from mmdet_ltnorm.results.pictures import MARKERS, picture, shared_legend
from mmdet_ltnorm.results.scores import over_seeds
from mmdet_ltnorm.results.tables import Table

CHUNK = 2**24  # logits at a time


def channel_effects(
    model: nn.Module, loader: Any, groups: Groups, tail: str = "few", head: str = "many"
) -> dict[str, NDArray[np.float64]]:
    """Return the change of accuracy when each channel is masked, in points, (C,).

    Keys are ``'tail'`` and ``'head'``: the mean over the classes of these groups.

    Raises:
        ValueError: a group is empty.
    """
    chosen = {"tail": checked_group(groups, tail), "head": checked_group(groups, head)}
    layer = classifier_layer(model)
    with evaluating(layer):
        columns = column_weights(layer)

    def right(batch: Batch) -> Tensor:
        masked = _right_without_each(layer, columns, batch)
        return torch.cat([*masked, (batch.logits.argmax(1) == batch.labels)[None]])

    hits, tested = _class_hits(model, loader, right)
    of_class = class_means(hits, tested)
    return group_means(of_class[:-1] - of_class[-1], chosen)


@torch.no_grad()
def _class_hits(
    model: nn.Module, loader: Any, right: Callable[[Batch], Tensor]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count hits (R, K) and samples (K,) of each class; ``right`` returns a batch's hits (R, N)."""
    hits: Any = 0
    tested: Any = 0
    for batch in labelled_batches(model, loader):
        one_hot = F.one_hot(batch.labels, batch.logits.shape[1]).float()
        hits = hits + right(batch).float() @ one_hot
        tested = tested + one_hot.sum(0)
    return hits.long().cpu().numpy(), tested.long().cpu().numpy()


def _right_without_each(layer: nn.Module, columns: Tensor | None, batch: Batch) -> Iterator[Tensor]:
    """Yield which samples are right without a channel, (channels, N), for all channels in turn."""
    features, logits, labels = batch
    classes, values = logits.shape[1], (features if columns is None else logits).numel()
    for chunk in torch.arange(features.shape[1]).split(max(CHUNK // values, 1)):
        if columns is not None:
            masked = logits - features.T[chunk, :, None] * columns.T[chunk, None, :classes]
        else:
            rows = features.repeat(len(chunk), 1, 1)
            rows[torch.arange(len(chunk)), :, chunk] = 0
            masked = layer(rows.flatten(0, 1))[:, :classes].unflatten(0, rows.shape[:2])
        yield masked.argmax(2) == labels


@torch.no_grad()
def column_weights(layer: nn.Module) -> Tensor | None:
    """Return W (K, C) of a layer that computes Wx + b, None for any other layer.

    Without channel k the logits of such a layer are its logits minus :math:`W_{:k} x_k`.
    """
    identity = torch.eye(layer.weight.shape[1]).to(layer.weight)
    bias = layer(torch.zeros_like(identity[:1]))
    weight = (layer(identity) - bias).T
    line = torch.linspace(-2, 3, len(identity)).to(identity)
    probe = torch.stack([line, 2 * line])
    affine = torch.allclose(layer(probe), probe @ weight.T + bias, rtol=1e-3, atol=1e-3)
    return weight if affine else None


def channel_kinds(
    effects: Mapping[str, NDArray[np.float64]], severe: float, negligible: float
) -> dict[str, NDArray[np.bool_]]:
    """Return which channels (C,) are specific to rare or frequent classes, or common.

    Rare-specific: without it the tail loses at least ``severe`` points and the head less than
    ``negligible``; frequent-specific the other way round; common: both lose ``severe``. The paper
    gives no thresholds.
    """
    tail, head = -effects["tail"], -effects["head"]
    return {
        "rare-specific": (tail >= severe) & (head < negligible),
        "frequent-specific": (head >= severe) & (tail < negligible),
        "common": (tail >= severe) & (head >= severe),
    }


def masked_accuracy(
    model: nn.Module,
    loader: Any,
    masks: Mapping[str, NDArray[np.bool_]],
    groups: Groups,
    tail: str = "few",
    head: str = "many",
) -> dict[str, dict[str, float]]:
    """Return the accuracy in percent of all samples, tail and head, without and with each mask.

    Args:
        masks: the channels (C,) that are set to zero before the classifier.
    """
    chosen = {"tail": checked_group(groups, tail), "head": checked_group(groups, head)}
    layer = classifier_layer(model)
    kept = [torch.from_numpy(~mask).to(layer.weight) for mask in masks.values()]
    kept.insert(0, torch.ones_like(layer.weight[0]))

    def right(batch: Batch) -> Tensor:
        logits = torch.stack([layer(batch.features * factor) for factor in kept])
        return logits[..., : batch.logits.shape[1]].argmax(2) == batch.labels

    hits, tested = _class_hits(model, loader, right)
    means = group_means(class_means(hits, tested), chosen)
    means["all"] = 100 * hits.sum(1) / tested.sum()
    return {
        name: {key: float(values[row]) for key, values in means.items()}
        for row, name in enumerate(("nothing", *masks))
    }


def channels_table(
    models: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]],
    sizes: Mapping[str, Sequence[Mapping[str, int]]],
) -> Table:
    """Return the paper's Table V for each model, with the number of masked channels.

    For several seeds it has the means and their standard errors.
    """
    rows = []
    for label, seeds in models.items():
        for name in seeds[0]:
            cells = [over_seeds([seed[name]["all"] for seed in seeds])]
            for key in ("tail", "head"):
                changes = [seed[name][key] - seed["nothing"][key] for seed in seeds]
                change = "" if name == "nothing" else f" ({np.mean(changes):+.1f})"
                cells.append(over_seeds([seed[name][key] for seed in seeds]) + change)
            what = label if name == "nothing" else f"without {name}"
            masked = float(np.mean([size.get(name, 0) for size in sizes[label]]))
            rows.append([what, f"{masked:.1f}".removesuffix(".0"), *cells])
    return Table(["", "masked", "all", "tail", "head"], rows)


def draw_channels(
    models: Mapping[str, Mapping[str, NDArray[np.float64]]],
    kinds: Mapping[str, Mapping[str, NDArray[np.bool_]]],
    out: Path,
) -> None:
    """Draw a dot for each channel: the accuracy that head and tail lose without it, by kind.

    The axes are linear near 0, and logarithmic beyond.
    """
    rows = (len(models) + 1) // 2
    with picture(out, 0.5 + 1.9 * rows) as figure:
        shape = (rows, min(len(models), 2))
        panels = figure.subplots(*shape, squeeze=False, sharex=True, sharey=True)
        for column, axes in enumerate(panels.flat[len(models) :], start=shape[1] - 1):
            axes.set_axis_off()
            panels[-2, column].tick_params(labelbottom=True)
        for axes in panels.flat:
            for axis, scale in (axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale):
                scale("symlog", linthresh=1, linscale=0.5)
                axis.set_major_formatter("{x:g}")
        for axes, (label, effects) in zip(panels.flat, models.items(), strict=False):
            _draw_kinds(axes, effects, kinds[label])
            axes.set_title(drawable(label))
        figure.supxlabel("change of head accuracy without a channel, points", fontsize=7)
        figure.supylabel("change of tail accuracy, points", fontsize=7)
        shared_legend(figure, columns=4)


def _draw_kinds(
    axes: Any, effects: Mapping[str, NDArray[np.float64]], kinds: Mapping[str, NDArray[np.bool_]]
) -> None:
    others = ~np.any(list(kinds.values()), axis=0)
    # What is specific to a group has its colour.
    colours = ("#BBBBBB", GROUP_COLOURS[-1], GROUP_COLOURS[0], "black")
    looks = zip(colours, (".", *MARKERS), strict=False)
    for (name, mask), (colour, marker) in zip(
        {"others": others, **kinds}.items(), looks, strict=False
    ):
        look = dict(color=colour, marker=marker, alpha=0.7, linewidths=0, label=name)
        axes.scatter(effects["head"][mask], effects["tail"][mask], 9, **look)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.axvline(0, color="black", linewidth=0.5)
