"""The data sets of a config, told from the config without reading data."""

import os
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmdet_ltnorm.data.wrapped import dataset_configs

# How a data set is read, which makes it no other one.
READING = {
    *("_scope_", "backend_args", "file_client_args", "filter_cfg", "lazy_init", "max_refetch"),
    *("pipeline", "return_classes", "serialize_data", "test_mode"),
}


def data_of(cfg: Mapping[str, Any], *loaders: str) -> dict[str, list[dict[str, Any]]]:
    """Return the options that identify the data sets of some loaders.

    Data sets that only repeat or resample another are that one; joined ones are all of them. Paths
    are resolved, so that two ways to one folder are the same.
    """
    datasets = {loader: (cfg.get(loader) or {}).get("dataset") for loader in loaders}
    return {
        loader: [_identity(each) for each in dataset_configs(dataset)]
        for loader, dataset in datasets.items()
    }


def data_title(cfg: Mapping[str, Any]) -> str:
    """Return the training data of a config in a few words."""
    loader = cfg.get("train_dataloader") or cfg.get("val_dataloader") or {}
    names = [_title(each) for each in dataset_configs(loader.get("dataset"))]
    return " with ".join(names) or "data that the config does not name"


def check_same_data(cfgs: Mapping[str, Mapping[str, Any]], *loaders: str) -> None:
    """Check that named configs have the same data.

    Raises:
        ValueError: two have different data; the message shows where they differ.
    """
    known = {name: data_of(cfg, *loaders) for name, cfg in cfgs.items()}
    first, *others = known
    for name in others:
        for loader in loaders:
            if known[name][loader] != known[first][loader]:
                one, other = _contrasted(known[first][loader], known[name][loader])
                raise ValueError(
                    f"{first} and {name} are of different data, which are not compared: "
                    f"{loader} has {one} and {other}. Give those of one data set at a time"
                )


def _contrasted(*sides: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield each side's data sets with the options that differ from the other side's."""
    for own, other in (sides, sides[::-1]):
        words = []
        for index, data in enumerate(own):
            known = other[index] if index < len(other) else {}
            differing = {k: v for k, v in data.items() if k != "type" and known.get(k) != v}
            told = (f"{k}={reprlib.repr(v)}" for k, v in differing.items())
            words.append(f"{data['type']}({', '.join(told)})")
        yield " with ".join(words) or "none"


def _identity(dataset: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in dataset.items() if key not in READING}
    root = kept.pop("data_root", None) or ""
    prefix = kept.pop("data_prefix", None) or {}
    places = {"data_root": root, "ann_file": kept.pop("ann_file", None) or ""}
    places |= prefix if isinstance(prefix, Mapping) else {"data_prefix": prefix}
    kept |= {key: _resolved(root, place) for key, place in places.items() if place}
    return {**dict(sorted(kept.items())), "type": _kind(dataset)}


def _resolved(root: str, place: Any) -> Any:
    if not isinstance(place, str) or "://" in f"{root}{place}":
        return place
    return os.path.realpath(os.path.join(root, place) if place != root else root)


def _kind(dataset: Mapping[str, Any]) -> str:
    return str(dataset.get("type", "data set")).rpartition(".")[2]


def _title(dataset: Mapping[str, Any]) -> str:
    paths = [dataset.get(key) or "" for key in ("data_root", "ann_file")]
    place = os.path.join(*paths).rstrip("/") if all(isinstance(p, str) for p in paths) else ""
    options = [
        f"{key} {value}"
        for key, value in dataset.items()
        if key not in {*READING, "type", "data_root", "ann_file", "split"}
        and isinstance(value, str | int | float)
    ]
    return ", ".join([" ".join(filter(None, [_kind(dataset), place])), *options])
