"""The content of checkpoints: weights and class names, and checks against a model."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Number
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer
from torch import Tensor

from mmdet_ltnorm.lettering import some

# The entries of a checkpoint's meta that mmengine and mmcv write, and that nothing runs.
META: dict[str, type] = {
    "CLASSES": Sequence,
    "PALETTE": Sequence,
    "dataset_meta": Mapping,
    "epoch": Integral,
    "experiment_name": str,
    "iter": Integral,
    "mmcv_version": str,
    "mmengine_version": str,
    "seed": Integral,
    "time": str,
}
CALLED = {Integral: "int", Mapping: "dict", Sequence: "list"}
HUB = ("log_scalars", "runtime_info", "resumed_keys")
CLASSES = "classes"  # in may_differ: the names of the classes
BEST = re.compile(r"(?:^|[/\\])(best_[^/\\]+\.pth)\Z")
# The kinds of norm layers, by whether they have NBN's gain, CBN's prior, running statistics.
NORMS = {
    (True, False, True): "NBN",
    (True, True, True): "NCBN",
    (True, False, False): "NGN or NLN",
    (False, True, True): "CBN",
    (False, False, True): "batch norm",
}


class CheckpointError(ValueError):
    """A file is no checkpoint, or belongs to another model or run; the message has the remedy."""


def keep_plain(checkpoint: Any, name: str) -> None:
    """Drop entries of a loaded checkpoint that mmengine would run or delete by path.

    It keeps the entries of ``meta`` and of the message hub that mmengine needs to resume: counters,
    scores, names of classes and logged numbers. It drops texts of configs, and keeps only the
    file's name of a best checkpoint's path.

    Raises:
        CheckpointError: it is no dict, or an entry is not of the type that it has in a checkpoint.
    """

    def expect(value: Any, kind: type, where: str) -> Any:
        if isinstance(value, kind) and not isinstance(value, bool):
            return value
        raise CheckpointError(
            f"{name} is not a checkpoint: {where} is of type {type(value).__name__}, expected "
            f"{CALLED.get(kind, kind.__name__)}"
        )

    expect(checkpoint, dict, "what it holds")
    for part in ("state_dict", "ema_state_dict"):
        for key, value in expect(checkpoint.get(part, {}), dict, part).items():
            expect(key, str, f"the key {key!r} of {part}")
            if not key.endswith("_extra_state"):
                expect(value, Tensor, f"{part}[{key!r}]")
    if isinstance(checkpoint.get("meta"), dict):
        checkpoint["meta"] = {
            key: expect(value, META[key], f"meta[{key!r}]")
            for key, value in checkpoint["meta"].items()
            if key in META and value is not None
        }
    elif "meta" in checkpoint:
        del checkpoint["meta"]
    if "message_hub" in checkpoint:
        hub = expect(checkpoint["message_hub"], dict, "message_hub")
        scalars, info, resumed = (
            expect(hub.get(part, {}), dict, f"message_hub[{part!r}]") for part in HUB
        )
        scalars = {k: value for k, value in scalars.items() if isinstance(value, HistoryBuffer)}
        info = dict(_plain_entries(info))
        resumed = {k: bool(value) for k, value in resumed.items() if k in scalars or k in info}
        checkpoint["message_hub"] = dict(zip(HUB, (scalars, info, resumed), strict=True))


def _plain_entries(info: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in info.items():
        items = value if isinstance(value, list | tuple) else [value]
        if str(key).startswith("best_ckpt"):
            found = BEST.search(str(value))
            if found:
                yield key, found[1]
        elif all(item is None or isinstance(item, Number | np.ndarray | Tensor) for item in items):
            yield key, value


def weights_of(checkpoint: Mapping[str, Any], name: str) -> Mapping[str, Tensor]:
    """Return the weights by name, without the prefix of a wrapped model.

    Raises:
        CheckpointError: there are none; the message names the entries that exist.
    """
    weights = checkpoint.get("state_dict", checkpoint)
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(
            f"{name} holds no weights: expected tensors by name, or such in an entry state_dict, "
            f"got {some(map(str, weights)) or 'nothing'}"
        )
    return {key.removeprefix("module."): value for key, value in weights.items()}


def check_same_model(
    own: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    name: str,
    may_differ: Collection[str] | None = None,
) -> None:
    """Check that weights have a model's names and shapes, and so its kinds of norms.

    Args:
        own: the state of the model.
        weights: those of the checkpoint.
        name: the checkpoint's name, for the message.
        may_differ: modules, such as ``'roi_head.bbox_head.fc_cls'``, of which weights may be
            missing, unknown or of other shapes; None where there is no such choice.

    Raises:
        CheckpointError: naming what differs, and how to allow it if that is possible.
    """
    parts = list(may_differ or ())
    for part in parts:
        if not any(_inside(key, [part]) for key in [*own, *weights]):
            known = ", ".join(dict.fromkeys(key.split(".")[0] for key in own))
            raise CheckpointError(
                f"may_differ names {part!r}, which neither the model nor {name} has: the model's "
                f"parts are {known}, and theirs"
            )
    lacking = [key for key in own if key not in weights and not _is_counter(key)]
    also = [key for key in weights if key not in own and not _is_counter(key)]
    reshaped = [k for k in own if k in weights and own[k].shape != weights[k].shape]
    lacking, also, reshaped = (
        [key for key in keys if not _inside(key, parts)] for keys in (lacking, also, reshaped)
    )
    differing = [*reshaped, *lacking, *also]
    if not differing:
        return
    there, here = _norms(weights), _norms(own)
    told = {
        "of its norms,": [
            f"{layer} is {there[layer]} there and {here[layer]} here"
            for layer in here
            if there.get(layer, here[layer]) != here[layer] and not _inside(layer, parts)
        ],
        "it lacks": lacking,
        "it also has": also,
        "these have other shapes:": [
            f"{key} {tuple(weights[key].shape)} there, {tuple(own[key].shape)} here"
            for key in reshaped
        ],
    }
    message = f"{name} is of another model than the config: " + "; ".join(
        f"{what} {some(names)}" for what, names in told.items() if names
    )
    message += ". Use the config that it was trained with"
    if may_differ is not None:
        modules = list(dict.fromkeys(key.rpartition(".")[0] for key in differing))
        message += (
            "; to start from the rest of it, name in the config the parts that may differ, such as "
            f"may_differ={[*parts, *modules][:4]}"
        )
    raise CheckpointError(message)


def check_finite(weights: Mapping[str, Tensor], name: str) -> None:
    """Check that weights are finite.

    Raises:
        CheckpointError: naming the weights that are not.
    """
    broken = [key for key, value in weights.items() if not value.isfinite().all()]
    if broken:
        raise CheckpointError(
            f"{name} has NaN or infinite values in {some(broken)}: its training diverged; "
            "take an earlier checkpoint"
        )


def class_names(meta: Mapping[str, Any]) -> list[str] | None:
    """Return the names of a trained model's classes, as a checkpoint's ``meta`` has them."""
    return _listed((meta.get("dataset_meta") or {}).get("classes", meta.get("CLASSES")))


def _listed(names: Any) -> list[str] | None:
    if isinstance(names, str):
        names = [names]
    return [str(each) for each in names] if names else None


def check_same_classes(there: list[str] | None, dataset: Any, name: str) -> None:
    """Check that a checkpoint's model was trained on the classes of a data set, in their order.

    Raises:
        CheckpointError: naming the first class that differs.
    """
    here = _listed(getattr(dataset, "metainfo", {}).get("classes"))
    if not there or not here or there == here:
        return
    if len(there) != len(here):
        raise CheckpointError(
            f"{name} was trained on {len(there)} classes ({some(there)}), and the data set "
            f"has {len(here)} ({some(here)})"
        )
    label = next(i for i, (one, other) in enumerate(zip(there, here, strict=True)) if one != other)
    differs = f"class {label} is {there[label]!r} there and {here[label]!r} in the data set"
    if set(there) == set(here):
        raise CheckpointError(f"{name} was trained on the same classes in another order: {differs}")
    raise CheckpointError(
        f"{name} was trained on other classes: {differs}. If they are the same ones, called "
        f"otherwise: --cfg-options may_differ=[{CLASSES}]"
    )


def _inside(key: str, parts: Iterable[str]) -> bool:
    return any(key == part or key.startswith(f"{part}.") for part in parts)


def _is_counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")  # older batch norms have none, and nothing needs it


def _norms(weights: Iterable[str]) -> dict[str, str]:
    """Return the kind of each norm layer, as far as the names of its tensors tell it."""
    leaves: dict[str, set[str]] = {}
    for key in weights:
        layer, _, leaf = key.rpartition(".")
        leaves.setdefault(layer, set()).add(leaf)
    kinds = {
        layer: NORMS.get(tuple(leaf in own for leaf in ("weight_gain", "prior", "running_mean")))
        for layer, own in leaves.items()
    }
    return {layer: kind for layer, kind in kinds.items() if kind}
