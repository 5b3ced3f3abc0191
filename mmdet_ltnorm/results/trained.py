"""Trained models by the names that pictures give them, with the test data of their configs."""

from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import CheckpointLoader, Runner
from numpy.typing import NDArray
from torch import nn

from mmdet_ltnorm.data.annotations import ImageSizes, check_sources
from mmdet_ltnorm.data.wrapped import dataset_classes, dataset_configs
from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.reading import read_model_config
from mmdet_ltnorm.results.checkpoints import (
    CLASSES,
    check_finite,
    check_same_classes,
    check_same_model,
    class_names,
    weights_of,
)
from mmdet_ltnorm.results.groups import Groups, counts_and_groups


class Trained:
    """A config's model with the weights of a checkpoint, and its test set when asked for it."""

    def __init__(self, config: str | Path | Config, checkpoint: str | Path) -> None:
        self.cfg, self.model, self._meta = load_model(config, checkpoint)
        self.model.to(get_device())
        self._checkpoint = str(checkpoint)

    @cached_property
    def loader(self) -> Any:
        """The test set's loader; a detector's images come with their annotated boxes.

        Raises:
            CheckpointError: the model was trained on other classes.
            ValueError: joined test sets have not the same classes.
        """
        cfg = deepcopy(self.cfg.test_dataloader)
        # A sampler that gives all ranks as many samples repeats some.
        cfg.sampler = dict(type="DefaultSampler", shuffle=False, round_up=False)
        if is_detector(self.model):
            boxes = dict(type="LoadAnnotations", with_bbox=True)  # before the boxes are resized
            for part in dataset_configs(cfg.dataset):
                loading, *steps = part["pipeline"]
                steps = [step for step in steps if step["type"] != "LoadAnnotations"]
                part["pipeline"] = [loading, boxes, *steps]
        loader = Runner.build_dataloader(cfg)
        dataset_classes(loader.dataset)  # of joined sets, checks that all have the same
        if CLASSES not in self.cfg.get("may_differ", ()):
            check_same_classes(class_names(self._meta), loader.dataset, self._checkpoint)
        check_sources({"test_dataloader": loader.dataset})
        ImageSizes(loader.dataset)
        return loader

    @cached_property
    def _classes(self) -> tuple[NDArray[np.int64], Groups]:
        return counts_and_groups(self.cfg, self.loader.dataset)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Training samples of each class; of a detector, training images."""
        return self._classes[0]

    @property
    def groups(self) -> Groups:
        """The classes of each group, from the most to the least frequent one."""
        return self._classes[1]

    @property
    def class_names(self) -> Sequence[str]:
        """The classes in the order of their labels."""
        return dataset_classes(self.loader.dataset)


def load_model(
    config: str | Path | Config, checkpoint: str | Path
) -> tuple[Config, nn.Module, dict[str, Any]]:
    """Return a config, its model in evaluation with a checkpoint's weights, and the meta.

    Raises:
        FileNotFoundError: naming the file.
        CheckpointError: the checkpoint is of another model, or has NaN; the message names where.
    """
    cfg = config if isinstance(config, Config) else read_model_config(config)
    init_default_scope(cfg.get("default_scope", "mmdet"))
    saved = CheckpointLoader.load_checkpoint(str(checkpoint), map_location="cpu")
    weights = weights_of(saved, str(checkpoint))
    model = MODELS.build(cfg.model)
    check_same_model(model.state_dict(), weights, str(checkpoint))
    check_finite(weights, str(checkpoint))
    model.load_state_dict(weights)
    return cfg, model.eval(), saved.get("meta", {})


def is_detector(model: nn.Module | type) -> bool:
    """Tell whether a model, or its class, is one of mmdet's detectors."""
    kind = type(model) if isinstance(model, nn.Module) else model
    # By its name: importing it needs mmcv's compiled ops, which classifiers do without.
    return any(base.__name__ == "BaseDetector" for base in getattr(kind, "__mro__", ()))


def load_trained(files: Sequence[str], labels: Sequence[str] | None = None) -> dict[str, Trained]:
    """Load ``CONFIG CHECKPOINT... [CONFIG CHECKPOINT...]``, each checkpoint with the config before.

    Args:
        labels: names of the models; by default the configs', with the checkpoint's where a config
            has several.

    Raises:
        ValueError: a checkpoint without a config, and what :func:`with_labels` raises.
        FileNotFoundError: naming the file.
    """
    pairs: list[tuple[Path, Path]] = []
    config = None
    for file in map(Path, files):
        if not file.is_file():
            raise FileNotFoundError(f"{file.absolute()} does not exist")
        if file.suffix == ".py":
            config = file
        elif config is None:
            raise ValueError(f"the first file must be a config, got {file}")
        else:
            pairs.append((config, file))
    named = with_labels(labels or _labels(pairs), pairs)
    return {label: Trained(*pair) for label, pair in named.items()}


def with_labels(labels: Sequence[str], items: Sequence[Any]) -> dict[str, Any]:
    """Return the items by their labels.

    Raises:
        ValueError: there are no items, or not as many different labels.
    """
    if len(set(labels)) != len(items) or len(labels) != len(items) or not items:
        raise ValueError(
            f"expected something to analyse and a different label for each, got {len(items)} and "
            f"the labels {', '.join(labels) or 'none'}; --labels gives others"
        )
    return dict(zip(map(literal, labels), items, strict=True))


def _labels(pairs: Sequence[tuple[Path, Path]]) -> list[str]:
    configs = [config for config, _ in pairs]
    return [
        config.stem
        if configs.count(config) == 1
        else f"{config.stem}, {checkpoint.parent.name}/{checkpoint.stem}"
        for config, checkpoint in pairs
    ]
