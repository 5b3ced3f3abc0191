"""Loading checkpoints without running code from the file, on every supported torch.

mmengine 0.10.7 calls ``torch.load`` with its default, which runs any code in the file before torch
2.6 and refuses mmengine's own training checkpoints from then on; downloads run code on every torch
(``torch.hub`` asks for ``weights_only=False``). Importing this module puts every loader of mmengine
(local files, http, torchvision, open-mmlab, object stores) under ``weights_only=True`` with an
allow-list of what mmengine's checkpoints hold: tensors, NumPy numbers and log histories.
"""

import codecs
import errno
import functools
import os
import pickle
import re
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as host
from mmengine.runner.checkpoint import CheckpointLoader

_FORCE, _FORCE_NOT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
_HISTORY_STATISTICS = ("min", "max", "current", "mean")


def _history_statistic(owner: type, name: str) -> Callable:
    # HistoryBuffer pickles its statistics as getattr(HistoryBuffer, "mean") and so on. The builtin
    # would let a file walk from any object to any other; this stands in for it.
    if owner is not HistoryBuffer or name not in _HISTORY_STATISTICS:
        raise pickle.UnpicklingError("Unsupported global: GLOBAL builtins.getattr")
    return getattr(HistoryBuffer, name)


def _known_as(path: str, function: Callable) -> Callable:
    """Return the function under the name that a pickle calls it by; torch compares names."""

    def stand_in(*args: Any) -> Any:
        return function(*args)

    stand_in.__module__, stand_in.__name__ = path.rsplit(".", 1)
    stand_in.__qualname__ = stand_in.__name__
    return stand_in


def _allowed() -> list[Any]:
    reconstruct, scalar = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    numbers = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
    allowed = [HistoryBuffer, _known_as("builtins.getattr", _history_statistic)]
    allowed += [np.ndarray, np.dtype, *(type(np.dtype(number)) for number in numbers.split())]
    allowed += [codecs.encode]  # an array's bytes; torch allows it by itself from 2.5 on
    # NumPy 2 moved these; a file names them where its writer's NumPy had them.
    for package in ("numpy.core", "numpy._core"):
        allowed.append(_known_as(f"{package}.multiarray._reconstruct", reconstruct))
        allowed.append(_known_as(f"{package}.multiarray.scalar", scalar))
    return allowed


_ALLOWED = _allowed()


@contextmanager
def weights_only() -> Iterator[None]:
    """Make every ``torch.load`` inside refuse what is not weights or mmengine's training state."""
    # The variable wins over an explicit weights_only=False, which is what torch.hub passes.
    environment = {name: os.environ.pop(name, None) for name in (_FORCE, _FORCE_NOT)}
    allowed_before = torch.serialization.get_safe_globals()
    os.environ[_FORCE] = "1"
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(_ALLOWED)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed_before)
        del os.environ[_FORCE]
        os.environ.update({name: value for name, value in environment.items() if value is not None})


def _guarded(load: Callable) -> Callable:
    """Wrap the loader of one of mmengine's address schemes."""

    @functools.wraps(load)
    def guarded(filename: str, *args: Any, **kwargs: Any) -> Any:
        try:
            with weights_only():
                checkpoint = load(filename, *args, **kwargs)
        except pickle.UnpicklingError as error:
            raise ValueError(_refusal(filename, str(error))) from None
        except urllib.error.URLError as error:
            raise ConnectionError(
                f"cannot download {filename} ({error.reason}): fetch it where there is a network, "
                f"put it into {torch.hub.get_dir()}/checkpoints, or start without it by "
                "--cfg-options model.backbone.backbone.init_cfg=None (model.backbone.init_cfg "
                "without LTNormBackbone)"
            ) from None
        except (EOFError, OSError, RuntimeError) as error:
            if not _is_damage(error):
                raise
            raise ValueError(
                f"{filename} is not a complete checkpoint (a copy or a save that was cut short?): "
                f"delete it, and copy it again or resume from an earlier one. torch says: {error}"
            ) from None
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get("meta"), dict):
            # Runner.resume would run this text as Python; mmengine itself never writes it.
            checkpoint["meta"].pop("config", None)
        return checkpoint

    return guarded


def _is_damage(error: Exception) -> bool:
    """Tell the ways in which torch stumbles over a file that was cut short."""
    if isinstance(error, OSError):
        return error.errno == errno.EINVAL  # a seek to before the file's start
    return isinstance(error, EOFError) or "PytorchStreamReader" in str(error)


def _refusal(filename: str, error: str) -> str:
    needed = re.search(r"(?:GLOBAL |<class ')([\w.]+)", error)
    if not needed:
        return f"{filename} is not a checkpoint: cut short, or a file of another kind"
    return (
        f"{filename} needs {needed[1]!r} to load, which is neither weights nor mmengine's training "
        "state, and loading it could run code from the file. If you trust its origin, extract the "
        'weights once: python -c "import torch; file = torch.load('
        f"'{filename}', map_location='cpu', weights_only=False); "
        "torch.save({'state_dict': file.get('state_dict', file)}, 'weights.pth')\""
    )


def _load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Take the address from mmengine's own table; mmengine imports torchvision for it first."""
    addresses = mmengine.load(Path(mmengine.__file__).parent / "hub" / "torchvision_0.12.json")
    name = filename.split("://", 1)[1]
    if name not in addresses:
        return host.load_from_torchvision(filename, map_location)
    return host.load_from_http(addresses[name], map_location=map_location)


for _prefix, _load in tuple(CheckpointLoader._schemes.items()):
    if _load is host.load_from_torchvision:
        _load = _load_from_torchvision
    CheckpointLoader.register_scheme(_prefix, _guarded(_load), force=True)
