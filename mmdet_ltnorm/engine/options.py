"""Checks of command-line options that nothing would read; mmengine accepts them silently."""

import argparse
import difflib
import inspect
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

# The top-level entries that are read: Runner's arguments, and others of the hosts and this package.
READ = {
    *("activation_checkpointing", "compile", "custom_imports", "efficient_conv_bn_eval", "fp16"),
    *(
        "find_unused_parameters",
        "may_differ",
        "model_wrapper_cfg",
        "runner_type",
        "strategy",
        "sync_bn",
    ),
    *("tta_model", "tta_pipeline", *inspect.signature(Runner).parameters),
}
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
LOOPS = ("EpochBasedTrainLoop", "IterBasedTrainLoop")
LOOP = {"type", "by_epoch"}.union(
    *(inspect.signature(loop).parameters for loop in (EpochBasedTrainLoop, IterBasedTrainLoop))
)
# Entries without a type, and the keys in them that are read.
PARTS = {
    "auto_scale_lr": {"base_batch_size", "enable"},
    "env_cfg": {"cudnn_benchmark", "dist_cfg", "mp_cfg", "resource_limit"},
    "train_cfg": LOOP,
}


def read_options(words: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``--cfg-options``, each KEY=VALUE, as mmengine reads them.

    Raises:
        ValueError: a word is of another form.
    """
    for word in words:
        if "=" not in word:
            raise ValueError(f"--cfg-options takes KEY=VALUE, got {word!r}")
    parser = argparse.ArgumentParser()
    parser.add_argument("--words", nargs="*", action=DictAction, default={})
    try:
        return parser.parse_args(["--words", *words]).words if words else {}
    except RecursionError:  # mmengine's reader has no end for "dict(a=1, b=2)"
        raise ValueError(
            "--cfg-options takes numbers, words, [lists] and (tuples), no dict(...): name each of "
            "its entries, as model.neck.type=FPN, or write it in a config"
        ) from None


def merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Merge ``--cfg-options`` into a config; refuse options that nothing would read.

    A new entry of ``model.train_cfg`` and the like, which only their readers know, is warned of.
    Loaders with ``num_workers=0`` lose the entries that torch takes only with workers.

    Raises:
        ValueError: nothing reads an option, or it does not fit into the config; the message names
            it and a similar entry.
    """
    for key, value in options.items():
        _check(cfg, key, value)
        try:
            cfg.merge_from_dict({key: value})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"--cfg-options {key}={value!r} does not fit: {error}") from error
    for loader in (cfg.get(name) for name in LOADERS):
        if loader and loader.get("num_workers") == 0:  # torch refuses these without workers
            loader.pop("persistent_workers", None)
            loader.pop("prefetch_factor", None)


def _check(cfg: Config, key: str, value: Any) -> None:
    first, *rest = key.split(".")
    meant = _similar(cfg, key)
    if first not in READ:
        what = "has used its value already" if first in cfg else "has no such entry"
        message = f"--cfg-options {key}={value!r}: the config {what}, and nothing reads it at a run"
        if first not in cfg or meant:
            raise ValueError(f"{message}; did you mean {' or '.join(meant) or 'another name'}?")
        _warn(message)
        return
    place, new = _new_entry(cfg, key)
    own = place in PARTS and (cfg.get(place) or {}).get("type") in (None, *LOOPS)
    if new and own and new not in PARTS[place]:
        near = difflib.get_close_matches(new, PARTS[place], 1) or sorted(PARTS[place])
        raise ValueError(
            f"--cfg-options {key}={value!r}: nothing reads {new} in {place}; did you mean "
            f"{' or '.join(near)}?"
        )
    if new and place.startswith(("model.train_cfg", "model.test_cfg", "optim_wrapper.paramwise")):
        _warn(
            f"--cfg-options {key}={value!r}: {new} is new in {place}, and is ignored unless its "
            f"reader knows it{'; did you mean ' + ' or '.join(meant) + '?' if meant else ''}"
        )


def _new_entry(cfg: Config, key: str) -> tuple[str, str]:
    """Return the last existing entry of an option's path, and the first missing name."""
    node: Any = cfg
    names = key.split(".")
    for depth, name in enumerate(names):
        if isinstance(node, Mapping | Config) and name in node:
            node = node[name]
        elif isinstance(node, list | tuple) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            return ".".join(names[:depth]), name
    return key, ""


def _similar(cfg: Config, key: str) -> list[str]:
    """Return entries with the option's last name, else entries with similar names."""
    known = [place for place in _places(cfg.to_dict()) if place.partition(".")[0] in READ]
    last = key.rpartition(".")[2]
    same = [place for place in known if place.rpartition(".")[2] == last and place != key]
    alike = difflib.get_close_matches(key, [*known, *READ], 3, 0.8)
    return sorted(same, key=lambda place: place.count("."))[:3] or [a for a in alike if a != key]


def _places(value: Any, place: str = "") -> Iterator[str]:
    items: Collection[Any] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    for key, inner in items:
        own = f"{place}.{key}" if place else str(key)
        yield own
        yield from _places(inner, own)


def _warn(message: str) -> None:
    print_log(message, logger="current", level=logging.WARNING)
