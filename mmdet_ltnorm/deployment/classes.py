"""Names and frequency groups of a trained model's classes."""

import logging
import os
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from mmengine.registry import DATASETS
from torch import nn

from mmdet_ltnorm.data.annotations import labelled_in_file, same_names, sources_of
from mmdet_ltnorm.data.wrapped import dataset_configs
from mmdet_ltnorm.engine.checks import classes_of_heads
from mmdet_ltnorm.results.groups import Groups, counts_and_groups


def class_names(cfg: Any, model: nn.Module, meta: Mapping[str, Any]) -> list[str]:
    """Return the names that a checkpoint's meta holds, else those of the config's test set.

    Of the test set's annotations, only the names of the categories are read, for a comparison. If
    nothing else names the classes, their names are their numbers.

    Raises:
        ValueError: there are more or fewer names than classes, or they are not in the order of the
            annotations.
    """
    sizes = dict(classes_of_heads(model))
    known = meta.get("dataset_meta") or _test_set(cfg, lazy_init=True).metainfo
    names = [str(name) for name in known.get("classes") or range(max(sizes.values()))]
    wrong = {name: size for name, size in sizes.items() if size != len(names)}
    if wrong:
        counts = ", ".join(f"{name} {size}" for name, size in wrong.items())
        raise ValueError(
            f"{len(names)} classes are named in the checkpoint's dataset_meta, or else in the "
            f"metainfo of the config's test set, and the model's parts have others: {counts}"
        )
    if "test_dataloader" in cfg:
        _check_order(cfg, names)
    return names


def _check_order(cfg: Any, names: list[str]) -> None:
    """Refuse names that differ from the test set's annotations, if these exist."""
    for source in sources_of(cfg.test_dataloader.dataset):
        labelled = labelled_in_file(source) if os.path.isfile(source.file) else None
        if labelled and not same_names(names, labelled):
            raise ValueError(
                f"predictions would be named by the checkpoint, or else the config, as "
                f"{', '.join(names[:20])}, but labels go by the annotations that were trained, and "
                f"{source.file} has {', '.join(labelled[:20])}: give the file that was trained, "
                "and its names in its order"
            )


def known_groups(cfg: Any) -> Groups:
    """Return the classes of each frequency group, none if the data set is missing."""
    try:
        return counts_and_groups(cfg, _test_set(cfg))[1]
    except FileNotFoundError:
        return {}
    except ValueError as error:  # predicting needs no data set, however broken
        message = f"the classes' frequency groups are unknown: {error}"
        print_log(message, logger="current", level=logging.WARNING)
        return {}


def _test_set(cfg: Any, **options: Any) -> Any:
    """Build the test set without its pipeline; of a joined one, the first part."""
    part = next(dataset_configs(cfg.test_dataloader.dataset))
    return DATASETS.build({**part, "pipeline": [], **options})
