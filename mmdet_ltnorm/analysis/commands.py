"""Each analysis from trained models to pictures, numbers beside them, and words to print.

Several models are drawn side by side; those of different data only by ``gamma`` and ``magnitude``,
which look at parameters and no data. ``confusion`` writes what ``classes`` does, too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_ltnorm.analysis import attention as maps
from mmdet_ltnorm.analysis import channels as masking
from mmdet_ltnorm.analysis import class_scores as scores
from mmdet_ltnorm.analysis import components as mixture
from mmdet_ltnorm.analysis import confusion as confused
from mmdet_ltnorm.analysis import feature_statistics as strength
from mmdet_ltnorm.analysis import gamma as affine
from mmdet_ltnorm.analysis import magnitude as curves
from mmdet_ltnorm.analysis.capture import classifier_layer
from mmdet_ltnorm.data.wrapped import labels_of
from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.results.data_sets import check_same_data
from mmdet_ltnorm.results.groups import tail_and_head
from mmdet_ltnorm.results.pictures import save_numbers
from mmdet_ltnorm.results.trained import Trained

CANDIDATES, SHOWN = 32, 3  # images of the rare class


def gamma(models: Mapping[str, Trained], out: Path, layer: str | None = None) -> str:
    """Effective γ and β of one layer (by default the last one's) and of all; needs no data."""
    vectors = {label: affine.effective_affine(each.model) for label, each in models.items()}
    layers = {label: layer or affine.last_norm(each.model) for label, each in models.items()}
    affine.draw_gamma(vectors, layers, out / "gamma.png")
    affine.draw_gamma_grid(vectors, out / "gamma_all.png")
    save_numbers(vectors, out / "gamma")
    lines = []
    for label, name in layers.items():
        found = vectors[label][name][0]
        deviation = found.std(ddof=1)
        lines.append(
            f"{label}: {name}, γ from {found.min():.3g} to {found.max():.3g}, standard deviation "
            f"{deviation:.3g}, over the mean {deviation / found.mean():.3g}"
        )
    return "\n".join(lines)


def magnitude(work_dirs: Mapping[str, str], out: Path) -> str:
    """NBN's g over training, from the logs of runs."""
    runs = {label: curves.magnitude_curves(path) for label, path in work_dirs.items()}
    curves.draw_magnitude(runs, out / "magnitude.png")
    save_numbers(runs, out / "magnitude")
    return "\n".join(
        f"{label}: {name} from {values[0]:.3g} to {values[-1]:.3g} at iteration {steps[-1]:.0f}"
        for label, run in runs.items()
        for name, (steps, values) in run.items()
    )


def features(models: Mapping[str, Trained], out: Path) -> str:
    """Mean and spread of the classifier's input over the test set, by channel and group."""
    _check_same_data(models)
    found = {
        label: strength.feature_statistics(each.model, each.loader, each.groups)
        for label, each in models.items()
    }
    strength.draw_features(found, out / "features.png")
    save_numbers(strength.feature_numbers(found), out / "features")
    return strength.features_table(found)


def channels(
    models: Mapping[str, Trained],
    out: Path,
    tail: str | None = None,
    head: str | None = None,
    severe: float = 0.5,
    negligible: float = 0.25,
) -> str:
    """What masking each channel costs the tail and the head, and masking all of a kind."""
    _check_same_data(models)
    tail, head = _chosen(models, tail, head)
    effects, kinds, accuracy = {}, {}, {}
    for label, each in models.items():
        model, loader, chosen = each.model, each.loader, (each.groups, tail, head)
        effects[label] = masking.channel_effects(model, loader, *chosen)
        kinds[label] = masking.channel_kinds(effects[label], severe, negligible)
        accuracy[label] = masking.masked_accuracy(model, loader, kinds[label], *chosen)
    masking.draw_channels(effects, kinds, out / "channels.png")
    limits = {"severe": severe, "negligible": negligible, "tail": tail, "head": head}
    numbers = {
        label: {**effects[label], **kinds[label], "accuracy": accuracy[label], "limits": limits}
        for label in models
    }
    save_numbers(numbers, out / "channels")
    sizes = {k: {name: int(mask.sum()) for name, mask in v.items()} for k, v in kinds.items()}
    limits_text = f"severe: at least {severe:g} points, negligible: less than {negligible:g}"
    return f"{masking.channels_table(accuracy, sizes)}\n\n{limits_text}; tail: {tail}, head: {head}"


def attention(
    models: Mapping[str, Trained],
    out: Path,
    tail: str | None = None,
    head: str | None = None,
    rare: str | None = None,
    frequent: str | None = None,
    images: Sequence[int] = (),
    top: int | None = None,
) -> str:
    """Where all channels look, and those that only a rare or only a frequent class relies on.

    By default the classes are those that the first model confuses most, and the images those of
    the rare class that it takes for the frequent one; ``top`` is an eighth of the channels.
    """
    _check_same_data(models)
    first = next(iter(models.values()))
    names, dataset = list(first.class_names), first.loader.dataset
    for each in models.values():  # before the confusion matrix takes its time
        maps.refuse_detector(each.model)
    if (rare is None) != (frequent is None):
        raise ValueError(f"give both classes or none, got rare={rare!r}, frequent={frequent!r}")
    if rare is None:
        tail, head = _chosen(models, tail, head)
        matrix = confused.confusion_matrix(first.model, first.loader)
        pair = confused.most_confused_pair(matrix, first.groups, tail, head)
    else:
        pair = (_label(names, rare), _label(names, frequent))
    if top is None:
        top = classifier_layer(first.model).weight.shape[1] // 8
    chosen = [dataset[index] for index in images] or _confused_images(first, pair, top)
    found = {k: maps.attention(each.model, chosen, *pair, top) for k, each in models.items()}
    strengths = {
        label: strength.feature_statistics(each.model, each.loader, each.groups)["all"]
        for label, each in models.items()
    }
    rare, frequent = (names[label] for label in pair)
    maps.draw_attention(found, strengths, chosen, (rare, frequent, names), out / "attention.png")
    options = {"rare class": rare, "frequent class": frequent, "top": top}
    save_numbers({k: {**each.numbers(), **options} for k, each in found.items()}, out / "attention")
    shown = f"rare: {literal(rare)}, frequent: {literal(frequent)}"
    return f"{shown}, the {top} largest weights of each"


def components(models: Mapping[str, Trained], out: Path, layer: str | None = None) -> str:
    """Responsibilities by class group, priors and distances of a CBN layer's components."""
    _check_same_data(models)
    found = {
        label: mixture.component_statistics(each.model, each.loader, each.groups, layer)
        for label, each in models.items()
    }
    mixture.draw_components(found, out / "components.png")
    save_numbers(found, out / "components")
    return "\n".join(
        f"{label}: {each['layer']}, entropy {each['entropy']:.2f}, mutual information "
        f"{each['mutual_information']:.2f} (in units of log M)"
        for label, each in found.items()
    )


def confusion(models: Mapping[str, Trained], out: Path) -> str:
    """Confusion matrices, and each class's accuracy against its training samples."""
    _check_same_data(models)
    first = next(iter(models.values()))
    found = {k: confused.confusion_matrix(each.model, each.loader) for k, each in models.items()}
    measure, counted = "accuracy", "training samples"
    if hasattr(first.model, "roi_head"):
        measure, counted = "accuracy of boxes", "training images"
    per_class = {
        label: scores.scores_from_confusion(matrix, first.counts, first.groups, measure)
        for label, matrix in found.items()
    }
    confused.draw_confusion(
        found, first.counts, first.groups, first.class_names, out / "confusion.png", counted
    )
    save_numbers({label: {"matrix": matrix} for label, matrix in found.items()}, out / "confusion")
    return _classes(per_class, out)


def classes(files: Mapping[str, str], out: Path) -> str:
    """Each class's accuracy or AP against its training data, from metrics' ``per_class_file``."""
    found = {label: scores.read_class_scores(file) for label, file in files.items()}
    scores.check_same_classes(found)
    return _classes(found, out)


def _check_same_data(models: Mapping[str, Trained]) -> None:
    cfgs = {label: each.cfg for label, each in models.items()}
    check_same_data(cfgs, "train_dataloader", "test_dataloader")


def _classes(models: Mapping[str, scores.ClassScores], out: Path) -> str:
    scores.draw_class_scores(models, out / "classes.png")
    numbers = {
        label: {"score": each.score, "counts": each.counts, "measure": each.measure}
        for label, each in models.items()
    }
    save_numbers(numbers, out / "classes")
    return scores.class_scores_table(models)


def _confused_images(trained: Trained, pair: tuple[int, int], top: int) -> list[dict[str, Any]]:
    """Return images of the pair's first class, those first that the model takes for the second."""
    dataset = trained.loader.dataset
    own = np.flatnonzero(labels_of(dataset) == pair[0])[:CANDIDATES].tolist()
    candidates = [dataset[index] for index in own]
    if not candidates:
        raise ValueError(f"the test set has no image of {trained.class_names[pair[0]]}")
    predicted = maps.attention(trained.model, candidates, *pair, top).predicted
    order = np.argsort(predicted != pair[1], kind="stable")
    return [candidates[index] for index in order[:SHOWN]]


def _chosen(models: Mapping[str, Trained], tail: str | None, head: str | None) -> tuple[str, str]:
    """Return the groups to compare: those given, else the ends of the first model's."""
    if tail is None or head is None:
        least, most = tail_and_head(next(iter(models.values())).groups)
        return tail or least, head or most
    return tail, head


def _label(names: Sequence[str], name: str) -> int:
    if name not in names:
        raise ValueError(f"there is no class {name!r}; there are {literal(', '.join(names))}")
    return names.index(name)
