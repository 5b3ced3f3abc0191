"""Attention of the channels that only one of two classes relies on (NBN paper, Fig. 1, 4)."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mmdet_ltnorm.analysis.capture import classifier_layer, evaluating
from mmdet_ltnorm.analysis.feature_statistics import FeatureStatistics
from mmdet_ltnorm.lettering import drawable
from mmdet_ltnorm.results.pictures import picture
from mmdet_ltnorm.results.trained import is_detector

POWER = 2  # p of the attention maps


class Attention(NamedTuple):
    """Maps (B, 3, H, W) of B images, predicted classes (B,), and the channels of each map.

    The maps are of all channels, of the channels of the rare class only, and of the frequent class
    only.
    """

    maps: NDArray[np.float32]
    predicted: NDArray[np.int64]
    channels: tuple[NDArray[np.int64], ...]

    def numbers(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name."""
        chosen = dict(zip(("all", "rare", "frequent"), self.channels, strict=True))
        return {"maps": self.maps, "predicted": self.predicted, **chosen}


def refuse_detector(model: nn.Module) -> None:
    """Raise a TypeError for a detector: its box features are not the backbone's channels."""
    if is_detector(model):
        raise TypeError(
            f"attention is of image classifiers, whose features are pooled channels of "
            f"the backbone; got a {type(model).__name__}"
        )


def attention_map(activations: Tensor, channels: NDArray[np.int64]) -> Tensor:
    r"""Return :math:`Q / \|Q\|_2` with :math:`Q = \sum_k |A_k|^2`, (B, H, W) of (B, C, H, W).

    Komodakis and Zagoruyko, "Paying more attention to attention", Section 3.1, with p = 2.
    """
    total = activations[:, torch.from_numpy(channels)].abs().pow(POWER).sum(1)
    return F.normalize(total.flatten(1)).view_as(total)


def unique_channels(
    weight: Tensor, rare: int, frequent: int, top: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the channels among the ``top`` largest weights of one class and not of the other.

    Args:
        weight: the classifier's rows (K, C).
        top: how many weights count; the paper gives no number.

    Raises:
        ValueError: ``top`` is not in 1..C, or the most important channels of both are the same.
    """
    if not 1 <= top <= weight.shape[1]:
        raise ValueError(f"top must be in 1..{weight.shape[1]}, the channels, got {top}")
    first, second = (set(weight[c].topk(top).indices.tolist()) for c in (rare, frequent))
    if first == second:
        raise ValueError(
            f"the {top} most important channels of classes {rare} and {frequent} are the same: "
            "choose another top or other classes"
        )
    return tuple(np.array(sorted(own)) for own in (first - second, second - first))


@torch.no_grad()
def class_attention(
    model: nn.Module, images: Sequence[Mapping[str, Any]], rare: int, frequent: int, top: int
) -> Attention:
    """Return the attention of an image classifier for two classes.

    Args:
        images: items of its data set.

    Raises:
        TypeError: a detector, or a classifier of other features than the pooled last feature map.
    """
    refuse_detector(model)
    layer = classifier_layer(model)
    everything = np.arange(layer.weight.shape[1])
    channels = (everything, *unique_channels(layer.weight, rare, frequent, top))
    maps: list[Tensor] = []
    handle = model.backbone.register_forward_hook(lambda _, __, out: maps.append(out[-1]))
    try:
        with evaluating(model):
            data = {name: [image[name] for image in images] for name in ("inputs", "data_samples")}
            features = model.extract_feat(model.data_preprocessor(data, False)["inputs"])
    finally:
        handle.remove()
    if maps[0].shape[1] != len(everything):
        raise TypeError(
            f"attention needs a classifier of the backbone's pooled channels, got a "
            f"{type(model).__name__} with {maps[0].shape[1]} of them and a classifier of "
            f"{len(everything)} features"
        )
    predicted = layer(features).argmax(1).cpu().numpy()
    stacked = torch.stack([attention_map(maps[0], chosen) for chosen in channels], 1)
    return Attention(stacked.float().cpu().numpy(), predicted, channels)


def draw_attention(
    models: Mapping[str, Attention],
    strengths: Mapping[str, FeatureStatistics],
    images: Sequence[Mapping[str, Any]],
    names: tuple[str, str, Sequence[str]],
    out: Path,
) -> None:
    """Draw a row for each image and model: the image, and the three maps over it.

    Args:
        strengths: each model's statistics over the test set. A map shows their mean and standard
            deviation, averaged over the channels of the map.
        names: the rare class, the frequent class, and all classes.
    """
    rare, frequent, classes = names
    rows = [(image, label) for image in range(len(images)) for label in models]
    with picture(out, 0.6 + 1.02 * len(rows)) as figure:
        grid = figure.subplots(len(rows), 4, squeeze=False)
        only = (_wrapped("only for", name) for name in (rare, frequent))
        for axes, title in zip(grid[0], ("image", "all channels", *only), strict=True):
            axes.set_title(title, fontsize=6)
        for row, (image, label) in zip(grid, rows, strict=True):
            found, item = models[label], images[image]
            pixels = item["inputs"].numpy().transpose(1, 2, 0)[..., ::-1]  # BGR
            row[0].imshow(pixels)
            row[0].set_ylabel(_wrapped("", label), fontsize=5.5)
            truth, guess = int(item["data_samples"].gt_label), found.predicted[image]
            said = f"{_wrapped('', classes[truth])}\n{_wrapped('as', classes[guess])}"
            row[0].set_xlabel(said, fontsize=5.5, labelpad=2)
            maps = zip(row[1:], found.maps[image], found.channels, strict=True)
            for axes, values, channels in maps:
                _draw_map(axes, pixels, values)
                mean, std = (each[channels].mean() for each in strengths[label][1:])
                text = f"{len(channels)} ch., μ {mean:.2f}, σ {std:.2f}"
                axes.set_xlabel(text, fontsize=5, labelpad=2)
        for axes in grid.flat:
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
        figure.supxlabel("attention: least in violet, most in yellow, within each map", fontsize=6)


def _draw_map(axes: Any, pixels: NDArray[np.uint8], values: NDArray[np.float32]) -> None:
    height, width = pixels.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(pixels.mean(2), cmap="gray")
    axes.imshow(values, cmap="viridis", alpha=0.65, interpolation="bilinear", extent=extent)


def _wrapped(words: str, name: str) -> str:
    """Break a name into lines that fit beside a small picture; a number stays with its word."""
    text = re.sub(r" (?=\d+$)", "\u00a0", f"{words} {drawable(name)}".strip())
    return textwrap.fill(text, 22)
