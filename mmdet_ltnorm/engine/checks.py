"""Checks before a run starts; each function raises an error with the remedy."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS, MODELS
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from mmdet_ltnorm.data.annotations import check_sources
from mmdet_ltnorm.data.wrapped import dataset_configs, dataset_parts
from mmdet_ltnorm.norms import CBN, NormalizedAffine

LVIS_GUIDE = """\
LVIS v1 is two annotation files and the images of COCO 2017:
  lvis_v1_train.json, lvis_v1_val.json   https://www.lvisdataset.org/dataset
  train2017.zip, val2017.zip             https://cocodataset.org/#download
unpacked (or linked, with `ln -s WHERE_IT_IS data/lvis_v1`) as
  data/lvis_v1/annotations/lvis_v1_train.json, lvis_v1_val.json
  data/lvis_v1/train2017/*.jpg, val2017/*.jpg   (the val split has images in both)
`make demo` needs none of it: it trains the same model on a generated miniature."""


def check_data_files(cfg: Mapping[str, Any], *loaders: str) -> None:
    """Check that the annotation files and image folders of a config's loaders exist.

    Raises:
        FileNotFoundError: naming the file, and how to get the data if it is a published set.
    """
    for loader in loaders:
        for dataset in dataset_configs((cfg.get(loader) or {}).get("dataset")):
            kind = dataset.get("type")
            kind = DATASETS.get(kind) if isinstance(kind, str) else kind
            if hasattr(kind, "missing_file"):
                if missing := kind.missing_file(dataset):
                    raise FileNotFoundError(f"{loader}: {missing}")
            # Only readers can find remote files, and those of other data sets.
            elif dataset.get("ann_file") and dataset.get("backend_args") is None:
                _check_dataset_files(loader, dataset)
            root = Path(dataset.get("data_root") or "")
            if dataset.get("type") == "ImageFolder" and not root.is_dir():
                raise FileNotFoundError(f"{loader}: {root.absolute()} does not exist")


def _check_dataset_files(loader: str, dataset: Mapping[str, Any]) -> None:
    root = Path(dataset.get("data_root") or "")
    annotations = root / dataset["ann_file"]
    prefix = dataset.get("data_prefix") or {}
    images = root / (prefix.get("img", "") if isinstance(prefix, Mapping) else prefix)
    wanted = [annotations, images]
    # File names of LVIS start with their folder; its own annotation files tell which to expect.
    folder = {"lvis_v1_train.json": "train2017", "lvis_v1_val.json": "val2017"}
    if annotations.name in folder:
        wanted.append(images / folder[annotations.name])
    for path in wanted:
        if not path.exists():
            message = f"{loader}: {path.absolute()} does not exist"
            is_lvis = "LVIS" in str(dataset.get("type"))
            raise FileNotFoundError(f"{message}\n\n{LVIS_GUIDE}" if is_lvis else message)


def check_sync_bn(cfg: Mapping[str, Any]) -> None:
    """Refuse ``sync_bn``, which turns every batch norm of the model into a plain SyncBN layer."""
    kinds = _kinds(cfg.get("model"))
    if cfg.get("sync_bn") and not all(getattr(k, "survives_sync_bn", True) for k in kinds):
        raise ValueError(
            f"sync_bn={cfg['sync_bn']!r} would replace this package's norms by plain SyncBN: "
            "remove it from the config. CBN synchronizes itself, and with norm_eval=True there are "
            "no statistics to synchronize"
        )


def check_norm_types(cfg: Mapping[str, Any]) -> None:
    """Check that the type of every ``norm_cfg`` of a config's model is registered.

    Raises:
        ValueError: a type that no one has registered; the message names the norms there are.
    """
    with MODELS.switch_scope_and_registry(cfg.get("default_scope", "mmdet")) as registry:
        for kind in _norm_types(cfg.get("model")):
            if isinstance(kind, str) and registry.get(kind) is None:
                known = (nn.GroupNorm, nn.LayerNorm, _NormBase, NormalizedAffine, CBN)
                names = [
                    name
                    for name, found in MODELS.module_dict.items()
                    if isinstance(found, type) and issubclass(found, known)
                ]
                raise ValueError(
                    f"there is no norm_cfg=dict(type={kind!r}); norms are: {', '.join(names)}"
                )


def _norm_types(cfg: Any) -> Iterator[Any]:
    if isinstance(cfg, Mapping):
        norm_cfg = cfg.get("norm_cfg")
        if isinstance(norm_cfg, Mapping):
            yield norm_cfg.get("type")
        cfg = list(cfg.values())
    if isinstance(cfg, list | tuple):
        for value in cfg:
            yield from _norm_types(value)


def asks_for(cfg: Any, types: Collection[str]) -> bool:
    """Tell whether a config contains one of the types, at any depth."""
    return any(name in types for name in _types(cfg))


def asks_for_magnitudes(cfg: Any) -> bool:
    """Tell whether a model config names NBN or another norm with a magnitude."""
    return any(issubclass(kind, NormalizedAffine) for kind in _kinds(cfg))


def _kinds(cfg: Any) -> Iterator[type]:
    """Yield the classes of the root registry that a model config names."""
    found = (MODELS.module_dict.get(name, name) for name in _types(cfg))
    yield from (kind for kind in found if isinstance(kind, type))


def _types(cfg: Any) -> Iterator[Any]:
    """Yield every ``type`` in a config."""
    if isinstance(cfg, Mapping):
        if "type" in cfg:
            yield cfg["type"]
        cfg = list(cfg.values())
    if isinstance(cfg, list | tuple):
        for value in cfg:
            yield from _types(value)


def check_nbn_layers(model: nn.Module, model_cfg: Any) -> None:
    """Check that every NBN layer that was built is still in the model.

    Raises:
        ValueError: the config asks for NBN and the model has none, or layers that share a magnitude
            have been replaced by others, as SyncBN conversion and conv-BN fusion do.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, NormalizedAffine)]
    present = {id(layer) for layer in layers}
    lost = {id(peer) for layer in layers for peer in layer.sharing} - present
    if lost or (not layers and asks_for_magnitudes(model_cfg)):
        raise ValueError(
            f"the model has {len(layers)} NBN layers, and {len(lost) or 'all'} that were built are "
            "gone: something converted them after the model was built (sync_bn, conv-BN fusion?). "
            "Switch that off; to deploy, convert with mmdet_ltnorm.surgery.fold_norms"
        )


def check_magnitudes(model: nn.Module, optimizer: Optimizer) -> None:
    """Check that the optimizer updates every trainable magnitude g exactly once a step.

    Raises:
        ValueError: naming the parameter, how often it is there and what to change.
    """
    optimized = [id(p) for group in optimizer.param_groups for p in group["params"]]
    for name, parameter in magnitudes(model):
        times = optimized.count(id(parameter))
        if parameter.requires_grad and times != 1:
            raise ValueError(
                f"the optimizer holds the NBN magnitude {name} {times} times instead of once: "
                "see paramwise_cfg of optim_wrapper and the optimizer's constructor"
            )


def check_cbn_layers(model: nn.Module) -> None:
    """Check that CBN layers follow the model into training mode.

    A second stage that keeps its backbone as it is (``backbone_eval``) has estimated them before.

    Raises:
        ValueError: naming the layers that stay in evaluation mode, as ``norm_eval`` keeps them:
            their components would never be estimated.
    """
    model.train()
    if getattr(getattr(model, "module", model), "backbone_eval", False):
        return
    fixed = [
        name
        for name, layer in model.named_modules()
        if getattr(layer, "needs_training_mode", False) and not layer.training
    ]
    if fixed:
        raise ValueError(
            f"{len(fixed)} CBN layers would never update their statistics ({', '.join(fixed)}): "
            "set norm_eval=False in the backbone, and leave frozen stages out of the positions"
        )


def magnitudes(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield every magnitude g once, under its owner's name."""
    for name, layer in model.named_modules():
        if isinstance(layer, NormalizedAffine):
            for leaf, parameter in layer.named_parameters(recurse=False):
                if leaf in ("magnitude", "bias_magnitude"):
                    yield f"{name}.{leaf}".removeprefix("module."), parameter


def check_class_config(cfg: Mapping[str, Any], *loaders: str) -> None:
    """Check annotation files, the classes of data sets, and the model's number of classes.

    This comes before the model is built: different numbers would end that with an error that does
    not say where they are.

    Raises:
        ValueError: naming the file, or the config keys to change.
    """
    names = check_sources({name: cfg[name]["dataset"] for name in loaders if cfg.get(name)})
    if names:
        check_configured_classes(cfg, len(names), f"the annotations of {loaders[0]} have")


def check_configured_classes(cfg: Mapping[str, Any], number: int, having: str) -> None:
    """Check the numbers of classes in a model's config against the data.

    Raises:
        ValueError: with both, and the config keys to change.
    """
    wrong = {key: n for key, n in _configured_classes(cfg.get("model")) if n != number}
    if wrong:
        counts = ", ".join(f"model{key}.num_classes={count}" for key, count in wrong.items())
        raise ValueError(
            f"{having} {number} categories, but the config has {counts}: set them to {number}, or "
            "use the annotations that the model is made for"
        )


def _configured_classes(cfg: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """Yield each number of classes in a model's config, except the RPN's."""
    if isinstance(cfg, Mapping):
        if isinstance(cfg.get("num_classes"), int) and not cfg.get("class_agnostic"):
            yield key, cfg["num_classes"]
        for name, value in cfg.items():
            if name != "rpn_head":
                yield from _configured_classes(value, f"{key}.{name}")
    elif isinstance(cfg, list | tuple):
        for place, value in enumerate(cfg):
            yield from _configured_classes(value, f"{key}.{place}")


def check_classes(model: nn.Module, dataset: Any, loader: str) -> None:
    """Compare the categories of a data set with its names and the classes of a detector's heads.

    Raises:
        ValueError: with both counts and the config keys to change.
    """
    check_sources({loader: dataset})
    for plain in dataset_parts(dataset):
        category_ids = getattr(plain, "cat_ids", None)
        if category_ids is None:
            continue
        wrong = {n: c for n, c in classes_of_heads(model) if c != len(category_ids)}
        if wrong:
            counts = ", ".join(f"model.{name}.num_classes={count}" for name, count in wrong.items())
            raise ValueError(
                f"{loader}: {plain.ann_file} has {len(category_ids)} categories, but the config "
                f"has {counts}: set them to {len(category_ids)}, or use the annotations that the "
                "model is made for"
            )


def classes_of_heads(model: nn.Module) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of classes of every part of a model that has classes."""
    for name, module in model.named_modules():
        name = name.removeprefix("module.")
        agnostic = name.endswith("rpn_head") or getattr(module, "class_agnostic", False)
        if not agnostic and isinstance(getattr(module, "num_classes", None), int):
            yield name, module.num_classes
