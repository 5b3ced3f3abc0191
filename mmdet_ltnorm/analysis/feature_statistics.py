"""Strength of the channels of the classifier's input (NBN paper, Eq. 5-6, Fig. 6, Table XVI)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mmdet_ltnorm.analysis.capture import classifier_layer, labelled_batches
from mmdet_ltnorm.moments import Moments
from mmdet_ltnorm.results.groups import Groups, group_colours, group_of_class
from mmdet_ltnorm.results.pictures import line_looks, picture, shared_legend
from mmdet_ltnorm.results.scores import over_seeds
from mmdet_ltnorm.results.tables import Table

BINS = 24


class FeatureStatistics(NamedTuple):
    """Mean and standard deviation (1/N) of each channel over the samples of a group, (C,)."""

    samples: int
    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def feature_statistics(
    model: nn.Module, loader: Any, groups: Groups
) -> dict[str, FeatureStatistics]:
    """Return statistics of the classifier's input over all samples and over each group.

    The samples are not kept: sums in float64 are merged over the batches and, in a distributed run,
    over the ranks. A group without samples has NaN.
    """
    layer = classifier_layer(model)
    table = group_of_class(groups).to(layer.weight.device)
    moments = Moments.empty(len(groups), layer.weight.shape[1], layer.weight.device)
    for batch in labelled_batches(model, loader):
        moments += Moments.of(batch.features, table[batch.labels], len(groups))
    moments = moments.over_ranks()
    parts = {"all": moments.over_groups()}
    parts |= {name: Moments(*(t[[i]] for t in moments)) for i, name in enumerate(groups)}
    return {name: _statistics(part) for name, part in parts.items()}


def _statistics(part: Moments) -> FeatureStatistics:
    samples, std = int(part.count), part.std[0].cpu().numpy()
    mean = part.mean[0].cpu().numpy()
    return FeatureStatistics(samples, mean if samples else np.full_like(mean, np.nan), std)


def variances(statistics: FeatureStatistics) -> dict[str, float]:
    r"""Return the variances over the C channels of their means and deviations, with 1/(C-1).

    ``var_mu`` and ``var_sigma`` are Eq. 5 and 6 of the NBN paper with a standard deviation as
    :math:`\sigma`; ``var_sigma2`` takes the variance, as the caption of Table XVI does. All three
    grow with the scale of the features, which a linear classifier can undo; ``cv_mu`` and
    ``cv_sigma``, standard deviation over mean, do not.
    """
    _, mean, std = statistics
    return {
        "var_mu": float(np.var(mean, ddof=1)),
        "var_sigma": float(np.var(std, ddof=1)),
        "var_sigma2": float(np.var(std**2, ddof=1)),
        "cv_mu": float(np.std(mean, ddof=1) / mean.mean()),
        "cv_sigma": float(np.std(std, ddof=1) / std.mean()),
    }


def features_table(models: Mapping[str, Sequence[Mapping[str, FeatureStatistics]]]) -> Table:
    """Return a table of the variances, a row for each model and group that has samples."""
    header = ["", "samples", "Var(μ)", "Var(σ)", "Var(σ²)", "sd/mean of μ", "of σ"]
    rows = []
    for label, seeds in models.items():
        for name in _with_samples(seeds):
            found = [variances(groups[name]) for groups in seeds]
            cells = [over_seeds([each[key] for each in found], ".3g") for key in found[0]]
            rows.append([f"{label}, {name}", str(seeds[0][name].samples), *cells])
    return Table(header, rows)


def _with_samples(seeds: Sequence[Mapping[str, FeatureStatistics]]) -> list[str]:
    return [name for name, statistics in seeds[0].items() if statistics.samples]


def feature_numbers(models: Mapping[str, Mapping[str, FeatureStatistics]]) -> dict[str, Any]:
    """Return the numbers of the picture and the table for :func:`pictures.save_numbers`."""
    numbers: dict[str, dict[str, Any]] = {}
    for label, groups in models.items():
        entries = numbers[label] = {}
        for name, statistics in groups.items():
            entries |= {f"{name}/mean": statistics.mean, f"{name}/std": statistics.std}
            entries[name] = {"samples": statistics.samples, **variances(statistics)}
    return numbers


def draw_features(
    models: Mapping[str, Sequence[Mapping[str, FeatureStatistics]]], out: Path
) -> None:
    """Draw histograms over the channels of μ and σ, a row for all samples and for each group.

    For several seeds they show the mean number of channels.
    """
    first = next(iter(models.values()))
    names = _with_samples(first)
    colours = group_colours(name for name in first[0] if name != "all")
    with picture(out, 0.6 + 0.95 * len(names)) as figure:
        grid = figure.subplots(len(names), 2, squeeze=False, sharex="col")
        for column, symbol in enumerate(("mean", "std")):
            values = [
                getattr(groups[name], symbol)
                for seeds in models.values()
                for groups in seeds
                for name in names
            ]
            edges = np.histogram_bin_edges(np.concatenate(values), BINS)
            for axes, name in zip(grid[:, column], names, strict=True):
                for label, look in line_looks(models):
                    channels = [getattr(groups[name], symbol) for groups in models[label]]
                    counts = np.histogram(np.concatenate(channels), edges)[0]
                    axes.stairs(counts / len(channels), edges, **look)
        for row, name in zip(grid, names, strict=True):
            row[0].set_ylabel("channels")
            group = "all classes" if name == "all" else name
            colour = colours.get(name, "black")
            beside = dict(transform=row[1].transAxes, rotation=270, va="center", color=colour)
            row[1].text(1.03, 0.5, group, **beside)
        grid[-1, 0].set_xlabel("mean μ of a channel")
        grid[-1, 1].set_xlabel("standard deviation σ")
        shared_legend(figure)
