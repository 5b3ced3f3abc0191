"""The annotation files of data sets, built or in configs, checked before anything is trained."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.fileio import list_from_file

from mmdet_ltnorm.data.annotations.class_names import check_names, same_names
from mmdet_ltnorm.data.annotations.content import format_parts, read_annotations
from mmdet_ltnorm.data.wrapped import dataset_configs, dataset_parts
from mmdet_ltnorm.reading import read_json


class Source(NamedTuple):
    """A file in COCO's or LVIS's format, with the way in which a data set reads it."""

    file: str
    kind: type
    classes: Any
    category_ids: list[Any] | None  # by label, of a data set that is built
    with_masks: bool
    backend_args: Mapping[str, Any] | None


def check_sources(datasets: Mapping[str, Any], training: str = "train_dataloader") -> list[str]:
    """Check the annotation files of data sets in COCO's format, and the sets' classes.

    Args:
        datasets: data sets or their configs, by the loader that the messages name; the one called
            ``training`` must have objects to train.

    Returns:
        The names of the classes, none if no data set is of this format.

    Raises:
        ValueError: names the loader and the file, what is wrong there, and what to do about it.
    """
    agreed: list[str] = []
    for loader, dataset in datasets.items():
        for source in sources_of(dataset):
            try:
                names = _class_names(source, loader == training)
            except ValueError as error:
                raise ValueError(f"{loader}: {error}") from None
            if agreed and names and not same_names(agreed, names):
                raise ValueError(
                    f"{loader}: the classes of {source.file} are not those of the data sets before "
                    f"it ({', '.join(datasets)}): {names} and {agreed}. All files need the same "
                    "categories in the same order, as tools/coco_to_lvis.py writes them"
                )
            agreed = agreed or names
    return agreed


def sources_of(dataset: Any) -> Iterator[Source]:
    """Yield the sources of data sets in COCO's format, wrapped ones included."""
    if isinstance(dataset, Mapping):
        for cfg in dataset_configs(dataset):
            yield from _of_config(cfg)
        return
    for plain in dataset_parts(dataset):
        if hasattr(plain, "cat_ids") and os.path.isfile(getattr(plain, "ann_file", "")):
            yield Source(
                plain.ann_file,
                type(plain),
                plain.metainfo.get("classes"),
                list(plain.cat_ids),
                any(getattr(step, "with_mask", False) for step in plain.pipeline.transforms),
                getattr(plain, "backend_args", None),
            )


def _of_config(cfg: Mapping[str, Any]) -> Iterator[Source]:
    if not cfg.get("ann_file"):
        return
    from mmdet.datasets import CocoDataset, CocoPanopticDataset
    from mmdet.registry import DATASETS

    kind = cfg.get("type")
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    if not isinstance(kind, type) or not issubclass(kind, CocoDataset):
        return
    if issubclass(kind, CocoPanopticDataset):  # its annotations are of another format
        return
    classes = (cfg.get("metainfo") or {}).get("classes", kind.METAINFO.get("classes"))
    if isinstance(classes, str) and Path(classes).is_file():
        classes = list_from_file(classes)
    yield Source(
        os.path.join(cfg.get("data_root") or "", cfg["ann_file"]),
        kind,
        classes,
        None,
        any(step.get("with_mask") for step in cfg.get("pipeline") or ()),
        cfg.get("backend_args"),
    )


def labelled_in_file(source: Source) -> list[str] | None:
    """Return the names of a file's categories by label, None if they are unknown.

    Only the categories are read, so no other fault of the file matters.
    """
    try:
        *_, categories = format_parts(read_json(source.file), source.file)
        return _labelled(source, categories)
    except (KeyError, ValueError):
        return None


def _class_names(source: Source, training: bool) -> list[str]:
    categories = _checked(source, training)
    labelled = _labelled(source, categories)
    if labelled is not None:
        check_names(source.file, categories, source.classes, labelled)
    return list(source.classes or ())


def _labelled(source: Source, categories: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """Return the names of the categories by label, None if only the data set knows them."""
    from mmdet.datasets import CocoDataset, LVISV05Dataset, LVISV1Dataset

    if source.category_ids is not None:
        by_id = {category["id"]: category["name"] for category in categories}
        return [by_id[category_id] for category_id in source.category_ids]
    names = [category["name"] for category in categories]
    loads = source.kind.load_data_list
    if loads in (LVISV1Dataset.load_data_list, LVISV05Dataset.load_data_list):
        return names
    if loads is CocoDataset.load_data_list:
        wanted = source.classes if isinstance(source.classes, list | tuple) else names
        return [name for name in names if name in wanted]
    return None


def _checked(source: Source, training: bool) -> list[dict[str, Any]]:
    state = None if source.backend_args else os.stat(source.file)
    stamp = state and (state.st_mtime_ns, state.st_size)
    options = tuple((source.backend_args or {}).items())
    return _checked_once(source.file, stamp, options, source.with_masks, training, _field(source))


def _field(source: Source) -> str:
    """Return the field that names an image's file to a data set."""
    from mmdet.datasets import LVISV1Dataset

    is_lvis = source.kind.load_data_list is LVISV1Dataset.load_data_list
    return "coco_url" if is_lvis else "file_name"


@lru_cache(maxsize=32)
def _checked_once(
    file: str, stamp: Any, options: tuple, with_masks: bool, training: bool, field: str
) -> list[dict[str, Any]]:
    """Check a file once; ``stamp`` differs after the file has changed."""
    found = read_annotations(file, dict(options) or None)
    if stamp:
        with open(file, "rb") as opened:
            if opened.read(1) not in b"{ \n\r\t":  # a mark of a Unicode encoding
                raise ValueError(
                    f"{file} has a byte-order mark, which MMDetection cannot read: save it as "
                    "UTF-8 without one, or write it anew by tools/coco_to_lvis.py"
                )
    found.check_file_names(field)
    if with_masks and (fault := found.mask_fault()):
        raise ValueError(fault)
    if training:
        found.check_trainable()
    return found.categories
