"""What is known about a trained model's classes: names and frequency groups."""

from collections.abc import Mapping
from typing import Any

from mmengine.registry import DATASETS
from torch import nn

from mmdet_ltnorm.analysis.groups import Groups, counts_and_groups
from mmdet_ltnorm.engine.checks import classes_of_heads


def class_names(cfg: Any, model: nn.Module, meta: Mapping[str, Any]) -> list[str]:
    """Return the names that a checkpoint's meta holds, else those of the config's test set.

    The set's annotations and images are not read; where only they would tell, the names are the
    numbers of the classes.

    Raises:
        ValueError: there are more or fewer names than classes.
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
    return names


def known_groups(cfg: Any) -> Groups:
    """Return the classes of each frequency group; none where the data set is not there to tell."""
    try:
        return counts_and_groups(cfg, _test_set(cfg))[1]
    except FileNotFoundError:
        return {}


def _test_set(cfg: Any, **options: Any) -> Any:
    return DATASETS.build({**cfg.test_dataloader.dataset, "pipeline": [], **options})
