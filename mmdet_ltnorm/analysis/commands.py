"""The analyses: from trained models to pictures, tables and files of numbers.

Several models are drawn side by side. Models of different data can only be compared by ``gamma``
and ``magnitude``, which need no data. A model can have several seeds, which are shown by their mean
and its standard error; ``attention`` and ``components`` show each seed by itself. ``confusion``
also writes the files of ``classes``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

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
from mmdet_ltnorm.analysis.gamma import (
    draw_gamma,
    draw_gamma_grid,
    effective_affine,
    gamma_table,
    last_norm,
    mean_over_seeds,
)
from mmdet_ltnorm.analysis.magnitude import draw_magnitude, magnitude_curves
from mmdet_ltnorm.data.wrapped import labels_of
from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.results.data_sets import check_same_data
from mmdet_ltnorm.results.groups import tail_and_head
from mmdet_ltnorm.results.pictures import COLUMN, PAGE, save_numbers
from mmdet_ltnorm.results.scores import over_seeds
from mmdet_ltnorm.results.tables import Table
from mmdet_ltnorm.results.trained import Trained, is_detector

CANDIDATES, SHOWN = 32, 3  # images of the rare class


Models = Mapping[str, Sequence[Trained]]
Found = TypeVar("Found")


class Drawn(NamedTuple):
    """The width of a picture in inches, and a sentence about what it shows."""

    width: float
    caption: str


class Findings(NamedTuple):
    """The pictures of an analysis, and its text and tables."""

    pictures: Mapping[Path, Drawn]
    words: Sequence[str | Table]

    def __str__(self) -> str:
        shown = [f"{path.name}: {drawn.caption}" for path, drawn in self.pictures.items()]
        return "\n\n".join([*shown, *map(str, self.words)])


def gamma(models: Models, out: Path, layer: str | None = None) -> Findings:
    """Draw effective γ and β of one layer, by default the last, and of all; this needs no data."""
    found = {k: [effective_affine(each.model) for each in seeds] for k, seeds in models.items()}
    vectors = {label: mean_over_seeds(seeds) for label, seeds in found.items()}
    layers = {label: layer or last_norm(seeds[0].model) for label, seeds in models.items()}
    draw_gamma(vectors, layers, out / "gamma.png")
    draw_gamma_grid(vectors, out / "gamma_all.png")
    save_numbers(_each_seed(found), out / "gamma")
    one = (
        "The effective scale γ and shift β of one norm, each sorted over the channels: the flatter "
        "γ is, the more alike the channels are treated."
    )
    every = "The effective γ of every norm, sorted in the same way."
    pictures = {out / "gamma.png": Drawn(COLUMN, one), out / "gamma_all.png": Drawn(PAGE, every)}
    return Findings(pictures, [gamma_table(found, layers)])


def magnitude(work_dirs: Mapping[str, Sequence[str | Path]], out: Path) -> Findings:
    """Draw NBN's g over training, from the logs of runs."""
    found = {k: [magnitude_curves(path) for path in seeds] for k, seeds in work_dirs.items()}
    draw_magnitude(found, out / "magnitude.png")
    save_numbers(_each_seed(found), out / "magnitude")
    rows = []
    for label, seeds in found.items():
        for name in seeds[0]:
            ends = [[float(seed[name][1, end]) for seed in seeds] for end in (0, -1)]
            steps = f"{seeds[0][name][0, -1]:.0f}"
            what = label if len(seeds[0]) == 1 else f"{label}, {name}"
            rows.append([what, *(over_seeds(each, ".3g") for each in ends), steps])
    caption = "The magnitude g, which is the length of NBN's vectors γ and β, over training."
    table = Table(["", "first logged g", "last g", "at iteration"], rows)
    return Findings({out / "magnitude.png": Drawn(COLUMN, caption)}, [table])


def features(models: Models, out: Path) -> Findings:
    """Measure mean and spread of the classifier's input over the test set, by channel and group."""
    _check_same_data(models)
    found = {
        label: [feature_statistics(each.model, each.loader, each.groups) for each in seeds]
        for label, seeds in models.items()
    }
    draw_features(found, out / "features.png")
    save_numbers(feature_numbers(_each_seed(found)), out / "features")
    caption = (
        "How many channels of the classifier's input have which mean μ and standard deviation σ "
        "over the test samples, of all classes and of each group: the narrower, the more even."
    )
    return Findings({out / "features.png": Drawn(COLUMN, caption)}, [features_table(found)])


def channels(
    models: Models,
    out: Path,
    tail: str | None = None,
    head: str | None = None,
    severe: float = 0.5,
    negligible: float = 0.25,
) -> Findings:
    """Measure the accuracy of tail and head without each channel, and without each kind."""
    _check_same_data(models)
    tail, head = _chosen(models, tail, head)
    effects, kinds, accuracy = {}, {}, {}
    for label, seeds in models.items():
        chosen = [(each.model, each.loader, each.groups) for each in seeds]
        effects[label] = [channel_effects(*each, tail, head) for each in chosen]
        kinds[label] = [channel_kinds(effect, severe, negligible) for effect in effects[label]]
        accuracy[label] = [
            masked_accuracy(model, loader, kind, groups, tail, head)
            for (model, loader, groups), kind in zip(chosen, kinds[label], strict=True)
        ]
    draw_channels(_joined(effects), _joined(kinds), out / "channels.png")
    limits = {"severe": severe, "negligible": negligible, "tail": tail, "head": head}
    numbers = {
        label: [
            {**effect, **kind, "accuracy": scores, "limits": limits}
            for effect, kind, scores in zip(
                effects[label], kinds[label], accuracy[label], strict=True
            )
        ]
        for label in models
    }
    save_numbers(_each_seed(numbers), out / "channels")
    sizes = {
        label: [{name: int(mask.sum()) for name, mask in kind.items()} for kind in seeds]
        for label, seeds in kinds.items()
    }
    caption = (
        f"A dot is a channel of the classifier's input, placed by what the {head} classes (head) "
        f"and the {tail} ones (tail) lose without it. Rare-specific channels cost the tail at "
        f"least {severe:g} points (severe) and the head less than {negligible:g} (negligible), "
        "frequent-specific ones the other way round, common ones cost both severely."
    )
    drawn = {out / "channels.png": Drawn(COLUMN, caption)}
    return Findings(drawn, [channels_table(accuracy, sizes)])


def attention(
    models: Models,
    out: Path,
    tail: str | None = None,
    head: str | None = None,
    rare: str | None = None,
    frequent: str | None = None,
    images: Sequence[int] = (),
    top: int | None = None,
) -> Findings:
    """Draw the attention of all channels, and of those that one rare or frequent class uses alone.

    By default the classes are those that the first model confuses most, and the images those of
    the rare class that it takes for the frequent one; ``top`` is an eighth of the channels.
    """
    _check_same_data(models)
    single = _each_seed(models)
    first = next(iter(single.values()))
    names, dataset = list(first.class_names), first.loader.dataset
    for each in single.values():  # before the confusion matrix takes its time
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
    found = {k: class_attention(each.model, chosen, *pair, top) for k, each in single.items()}
    strengths = {
        label: feature_statistics(each.model, each.loader, each.groups)["all"]
        for label, each in single.items()
    }
    rare, frequent = (names[label] for label in pair)
    draw_attention(found, strengths, chosen, (rare, frequent, names), out / "attention.png")
    options = {"rare class": rare, "frequent class": frequent, "top": top}
    save_numbers({k: {**each.numbers(), **options} for k, each in found.items()}, out / "attention")
    caption = (
        f"Where all channels look, and those that are among the {top} largest weights only of "
        f"the rare class {literal(rare)} or only of the frequent class {literal(frequent)}; μ and "
        "σ are the means of these channels' mean and standard deviation over the test images."
    )
    return Findings({out / "attention.png": Drawn(COLUMN, caption)}, [])


def components(models: Models, out: Path, layer: str | None = None) -> Findings:
    """Draw a CBN layer's components: responsibilities by class group, priors and distances."""
    _check_same_data(models)
    found = {
        label: component_statistics(each.model, each.loader, each.groups, layer)
        for label, each in _each_seed(models).items()
    }
    draw_components(found, out / "components.png")
    save_numbers(found, out / "components")
    lines = (
        f"{label}: {each['layer']}, entropy {each['entropy']:.2f}, mutual information "
        f"{each['mutual_information']:.2f} (in units of log M)"
        for label, each in found.items()
    )
    caption = (
        "Left, the share of each component of a CBN layer, of all pixels that it was trained on "
        "(prior τ) and of those of each group's test images; right, how many standard deviations "
        "the components' means are apart: components that are used and apart tell pixels apart."
    )
    return Findings({out / "components.png": Drawn(COLUMN, caption)}, ["\n".join(lines)])


def confusion(models: Models, out: Path) -> Findings:
    """Draw confusion matrices, and each class's accuracy against its training samples."""
    _check_same_data(models)
    first = next(iter(models.values()))[0]
    found = {
        label: [confusion_matrix(each.model, each.loader) for each in seeds]
        for label, seeds in models.items()
    }
    measure = "accuracy of boxes" if is_detector(first.model) else "accuracy"
    per_class = {
        label: [scores_from_confusion(each, first.counts, first.groups, measure) for each in seeds]
        for label, seeds in found.items()
    }
    sums = {label: np.sum(seeds, 0) for label, seeds in found.items()}
    counted = next(iter(per_class.values()))[0].counted
    draw_confusion(
        sums, first.counts, first.groups, first.class_names, out / "confusion.png", counted
    )
    matrices = {label: {"matrix": matrix} for label, matrix in _each_seed(found).items()}
    save_numbers(matrices, out / "confusion")
    caption = (
        "A row has the percentages of one class's test samples that are taken for each class; "
        f"classes are sorted by their {counted}, and lines separate the groups."
    )
    pictures, words = _classes(per_class, out)
    return Findings({**pictures, out / "confusion.png": Drawn(COLUMN, caption)}, words)


def classes(files: Mapping[str, Sequence[str]], out: Path) -> Findings:
    """Draw each class's accuracy or AP against its training data, from a ``per_class_file``."""
    found = {label: [read_class_scores(file) for file in seeds] for label, seeds in files.items()}
    check_same_classes(_each_seed(found))
    return _classes(found, out)


def _each_seed(models: Mapping[str, Sequence[Found]]) -> dict[str, Found]:
    """Return the findings of each seed under its own label, numbered if there are several."""
    return {
        label if len(seeds) == 1 else f"{label}, run {number}": found
        for label, seeds in models.items()
        for number, found in enumerate(seeds, 1)
    }


def _joined(models: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the arrays of all seeds, concatenated along the channels."""
    return {
        label: {name: np.concatenate([seed[name] for seed in seeds]) for name in seeds[0]}
        for label, seeds in models.items()
    }


def _check_same_data(models: Models) -> None:
    cfgs = {label: each.cfg for label, each in _each_seed(models).items()}
    check_same_data(cfgs, "train_dataloader", "test_dataloader")


def _classes(models: Mapping[str, Sequence[ClassScores]], out: Path) -> Findings:
    draw_class_scores(models, out / "classes.png")
    numbers = {
        label: {"score": each.score, "counts": each.counts, "measure": each.measure}
        for label, each in _each_seed(models).items()
    }
    save_numbers(numbers, out / "classes")
    first = next(iter(models.values()))[0]
    caption = (
        f"The {first.measure} of each class at its number of {first.counted}; horizontal lines "
        "are the means of the groups, and dotted lines separate the groups."
    )
    return Findings({out / "classes.png": Drawn(COLUMN, caption)}, [class_scores_table(models)])


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


def _chosen(models: Models, tail: str | None, head: str | None) -> tuple[str, str]:
    """Return the given groups, else the least and the most frequent one of the first model."""
    if tail is None or head is None:
        least, most = tail_and_head(next(iter(models.values()))[0].groups)
        return tail or least, head or most
    return tail, head


def _label(names: Sequence[str], name: str) -> int:
    if name not in names:
        raise ValueError(f"there is no class {name!r}; there are {literal(', '.join(names))}")
    return names.index(name)
