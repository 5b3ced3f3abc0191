"""The analyses: from trained models to pictures, tables and files of numbers.

Several models are drawn side by side; those of different data only by ``gamma`` and ``magnitude``,
which look at parameters and no data. ``confusion`` writes what ``classes`` does, too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmdet_ltnorm.analysis.attention import class_attention, draw_attention, refuse_detector
from mmdet_ltnorm.analysis.capture import classifier_layer
from mmdet_ltnorm.analysis.channels import (
    channel_effects,
    channel_kinds,
    channels_table,
    draw_channels,
    masked_accuracy,
)
from mmdet_ltnorm.analysis.class_scores import (
    ClassScores,
    check_same_classes,
    class_scores_table,
    draw_class_scores,
    read_class_scores,
    scores_from_confusion,
)
from mmdet_ltnorm.analysis.components import component_statistics, draw_components
from mmdet_ltnorm.analysis.confusion import confusion_matrix, draw_confusion, most_confused_pair
from mmdet_ltnorm.analysis.feature_statistics import (
    draw_features,
    feature_numbers,
    feature_statistics,
    features_table,
)
from mmdet_ltnorm.analysis.gamma import draw_gamma, draw_gamma_grid, effective_affine, last_norm
from mmdet_ltnorm.analysis.magnitude import draw_magnitude, magnitude_curves
from mmdet_ltnorm.data.wrapped import labels_of
from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.results.data_sets import check_same_data
from mmdet_ltnorm.results.groups import tail_and_head
from mmdet_ltnorm.results.pictures import COLUMN, PAGE, save_numbers
from mmdet_ltnorm.results.tables import Table
from mmdet_ltnorm.results.trained import Trained, is_detector

CANDIDATES, SHOWN = 32, 3  # images of the rare class


class Findings(NamedTuple):
    """The pictures of an analysis, with their widths in inches, and its text and tables."""

    pictures: Mapping[Path, float]
    words: Sequence[str | Table]

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.words))


def gamma(models: Mapping[str, Trained], out: Path, layer: str | None = None) -> Findings:
    """Effective γ and β of one layer (by default the last one's) and of all; needs no data."""
    vectors = {label: effective_affine(each.model) for label, each in models.items()}
    layers = {label: layer or last_norm(each.model) for label, each in models.items()}
    draw_gamma(vectors, layers, out / "gamma.png")
    draw_gamma_grid(vectors, out / "gamma_all.png")
    save_numbers(vectors, out / "gamma")
    lines = []
    for label, name in layers.items():
        found = vectors[label][name][0]
        deviation = found.std(ddof=1)
        lines.append(
            f"{label}: {name}, γ from {found.min():.3g} to {found.max():.3g}, standard deviation "
            f"{deviation:.3g}, over the mean {deviation / found.mean():.3g}"
        )
    pictures = {out / "gamma.png": COLUMN, out / "gamma_all.png": PAGE}
    return Findings(pictures, ["\n".join(lines)])


def magnitude(work_dirs: Mapping[str, str], out: Path) -> Findings:
    """NBN's g over training, from the logs of runs."""
    runs = {label: magnitude_curves(path) for label, path in work_dirs.items()}
    draw_magnitude(runs, out / "magnitude.png")
    save_numbers(runs, out / "magnitude")
    lines = (
        f"{label}: {name} from {values[0]:.3g} to {values[-1]:.3g} at iteration {steps[-1]:.0f}"
        for label, run in runs.items()
        for name, (steps, values) in run.items()
    )
    return Findings({out / "magnitude.png": COLUMN}, ["\n".join(lines)])


def features(models: Mapping[str, Trained], out: Path) -> Findings:
    """Mean and spread of the classifier's input over the test set, by channel and group."""
    _check_same_data(models)
    found = {
        label: feature_statistics(each.model, each.loader, each.groups)
        for label, each in models.items()
    }
    draw_features(found, out / "features.png")
    save_numbers(feature_numbers(found), out / "features")
    return Findings({out / "features.png": COLUMN}, [features_table(found)])


def channels(
    models: Mapping[str, Trained],
    out: Path,
    tail: str | None = None,
    head: str | None = None,
    severe: float = 0.5,
    negligible: float = 0.25,
) -> Findings:
    """Accuracy of tail and head without each channel, and without all channels of a kind."""
    _check_same_data(models)
    tail, head = _chosen(models, tail, head)
    effects, kinds, accuracy = {}, {}, {}
    for label, each in models.items():
        model, loader, chosen = each.model, each.loader, (each.groups, tail, head)
        effects[label] = channel_effects(model, loader, *chosen)
        kinds[label] = channel_kinds(effects[label], severe, negligible)
        accuracy[label] = masked_accuracy(model, loader, kinds[label], *chosen)
    draw_channels(effects, kinds, out / "channels.png")
    limits = {"severe": severe, "negligible": negligible, "tail": tail, "head": head}
    numbers = {
        label: {**effects[label], **kinds[label], "accuracy": accuracy[label], "limits": limits}
        for label in models
    }
    save_numbers(numbers, out / "channels")
    sizes = {k: {name: int(mask.sum()) for name, mask in v.items()} for k, v in kinds.items()}
    shown = f"severe: at least {severe:g} points, negligible: less than {negligible:g}"
    words = [channels_table(accuracy, sizes), f"{shown}; tail: {tail}, head: {head}"]
    return Findings({out / "channels.png": COLUMN}, words)


def attention(
    models: Mapping[str, Trained],
    out: Path,
    tail: str | None = None,
    head: str | None = None,
    rare: str | None = None,
    frequent: str | None = None,
    images: Sequence[int] = (),
    top: int | None = None,
) -> Findings:
    """Attention of all channels, and of those that only a rare or only a frequent class uses.

    By default the classes are those that the first model confuses most, and the images those of
    the rare class that it takes for the frequent one; ``top`` is an eighth of the channels.
    """
    _check_same_data(models)
    first = next(iter(models.values()))
    names, dataset = list(first.class_names), first.loader.dataset
    for each in models.values():  # before the confusion matrix takes its time
        refuse_detector(each.model)
    if (rare is None) != (frequent is None):
        raise ValueError(f"give both classes or none, got rare={rare!r}, frequent={frequent!r}")
    if rare is None:
        tail, head = _chosen(models, tail, head)
        matrix = confusion_matrix(first.model, first.loader)
        pair = most_confused_pair(matrix, first.groups, tail, head)
    else:
        pair = (_label(names, rare), _label(names, frequent))
    if top is None:
        top = classifier_layer(first.model).weight.shape[1] // 8
    chosen = [dataset[index] for index in images] or _confused_images(first, pair, top)
    found = {k: class_attention(each.model, chosen, *pair, top) for k, each in models.items()}
    strengths = {
        label: feature_statistics(each.model, each.loader, each.groups)["all"]
        for label, each in models.items()
    }
    rare, frequent = (names[label] for label in pair)
    draw_attention(found, strengths, chosen, (rare, frequent, names), out / "attention.png")
    options = {"rare class": rare, "frequent class": frequent, "top": top}
    save_numbers({k: {**each.numbers(), **options} for k, each in found.items()}, out / "attention")
    shown = f"rare: {literal(rare)}, frequent: {literal(frequent)}"
    words = [f"{shown}, the {top} largest weights of each"]
    return Findings({out / "attention.png": COLUMN}, words)


def components(models: Mapping[str, Trained], out: Path, layer: str | None = None) -> Findings:
    """Responsibilities by class group, priors and distances of a CBN layer's components."""
    _check_same_data(models)
    found = {
        label: component_statistics(each.model, each.loader, each.groups, layer)
        for label, each in models.items()
    }
    draw_components(found, out / "components.png")
    save_numbers(found, out / "components")
    lines = (
        f"{label}: {each['layer']}, entropy {each['entropy']:.2f}, mutual information "
        f"{each['mutual_information']:.2f} (in units of log M)"
        for label, each in found.items()
    )
    return Findings({out / "components.png": COLUMN}, ["\n".join(lines)])


def confusion(models: Mapping[str, Trained], out: Path) -> Findings:
    """Confusion matrices, and each class's accuracy against its training samples."""
    _check_same_data(models)
    first = next(iter(models.values()))
    found = {k: confusion_matrix(each.model, each.loader) for k, each in models.items()}
    measure, counted = "accuracy", "training samples"
    if is_detector(first.model):
        measure, counted = "accuracy of boxes", "training images"
    per_class = {
        label: scores_from_confusion(matrix, first.counts, first.groups, measure)
        for label, matrix in found.items()
    }
    draw_confusion(
        found, first.counts, first.groups, first.class_names, out / "confusion.png", counted
    )
    save_numbers({label: {"matrix": matrix} for label, matrix in found.items()}, out / "confusion")
    pictures, words = _classes(per_class, out)
    return Findings({**pictures, out / "confusion.png": COLUMN}, words)


def classes(files: Mapping[str, str], out: Path) -> Findings:
    """Each class's accuracy or AP against its training data, from metrics' ``per_class_file``."""
    found = {label: read_class_scores(file) for label, file in files.items()}
    check_same_classes(found)
    return _classes(found, out)


def _check_same_data(models: Mapping[str, Trained]) -> None:
    cfgs = {label: each.cfg for label, each in models.items()}
    check_same_data(cfgs, "train_dataloader", "test_dataloader")


def _classes(models: Mapping[str, ClassScores], out: Path) -> Findings:
    draw_class_scores(models, out / "classes.png")
    numbers = {
        label: {"score": each.score, "counts": each.counts, "measure": each.measure}
        for label, each in models.items()
    }
    save_numbers(numbers, out / "classes")
    return Findings({out / "classes.png": COLUMN}, [class_scores_table(models)])


def _confused_images(trained: Trained, pair: tuple[int, int], top: int) -> list[dict[str, Any]]:
    """Return images of the pair's first class; those predicted as the second class come first."""
    dataset = trained.loader.dataset
    own = np.flatnonzero(labels_of(dataset) == pair[0])[:CANDIDATES].tolist()
    candidates = [dataset[index] for index in own]
    if not candidates:
        raise ValueError(f"the test set has no image of {trained.class_names[pair[0]]}")
    predicted = class_attention(trained.model, candidates, *pair, top).predicted
    order = np.argsort(predicted != pair[1], kind="stable")
    return [candidates[index] for index in order[:SHOWN]]


def _chosen(models: Mapping[str, Trained], tail: str | None, head: str | None) -> tuple[str, str]:
    """Return the given groups, else the least and the most frequent one of the first model."""
    if tail is None or head is None:
        least, most = tail_and_head(next(iter(models.values())).groups)
        return tail or least, head or most
    return tail, head


def _label(names: Sequence[str], name: str) -> int:
    if name not in names:
        raise ValueError(f"there is no class {name!r}; there are {literal(', '.join(names))}")
    return names.index(name)
