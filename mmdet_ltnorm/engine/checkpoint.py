"""Loading checkpoints without running code from the file, on every supported torch.

mmengine 0.10.7 calls ``torch.load`` with its default, which runs any code in the file before torch
2.6 and refuses mmengine's own training checkpoints from then on; downloads run code on every torch
(``torch.hub`` asks for ``weights_only=False``). Importing this module puts every loader of mmengine
(local files, http, torchvision, open-mmlab, object stores) under ``weights_only=True`` with an
allow-list of what mmengine's checkpoints hold: tensors, NumPy numbers and log histories. Records
are compared with their checksums first. Beside weights, mmengine gets only the entries that
:func:`~mmdet_ltnorm.results.checkpoints.keep_plain` keeps.
"""

import codecs
import errno
import functools
import os
import pickle
import re
import struct
import threading
import urllib.error
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO
from urllib.parse import urlparse

import mmengine
import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as host
from mmengine.runner.checkpoint import CheckpointLoader

from mmdet_ltnorm.results.checkpoints import CheckpointError, keep_plain

_HISTORY_STATISTICS = ("min", "max", "current", "mean")


class _History(HistoryBuffer):
    """A stand-in for HistoryBuffer, which would set the statistics of all buffers from a file."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__class__ = HistoryBuffer  # type: ignore[assignment]
        self.__init__(state["_log_history"], state["_count_history"], int(state["max_length"]))


_History.__module__ = HistoryBuffer.__module__
_History.__qualname__ = HistoryBuffer.__qualname__


def _history_statistic(owner: type, name: str) -> Callable:
    # HistoryBuffer pickles its statistics as getattr(HistoryBuffer, "mean") and so on. This is
    # called instead of getattr, by which a file could reach any object from any other.
    if owner is not _History or name not in _HISTORY_STATISTICS:
        raise pickle.UnpicklingError("Unsupported global: GLOBAL builtins.getattr")
    return getattr(HistoryBuffer, name)


def _number_type(name: str, *_: Any) -> np.dtype:
    number = np.dtype(name)
    if number.kind not in "biufc":
        kind = type(number)
        raise pickle.UnpicklingError(f"GLOBAL {kind.__module__}.{kind.__qualname__}")
    return number


def _empty_array(*_: Any) -> np.ndarray:
    return np.zeros(0)  # NumPy's pickles set the shape, type and content next


def _known_as(path: str, function: Callable) -> Callable:
    """Return the function under the name that a pickle calls it by; torch compares names."""

    def stand_in(*args: Any) -> Any:
        return function(*args)

    stand_in.__module__, stand_in.__name__ = path.rsplit(".", 1)
    stand_in.__qualname__ = stand_in.__name__
    return stand_in


def _allowed() -> list[Any]:
    scalar = np.float64(0).__reduce__()[0]
    numbers = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
    allowed = [_History, _known_as("builtins.getattr", _history_statistic)]
    allowed += [np.ndarray, _known_as("numpy.dtype", _number_type)]
    allowed += [type(np.dtype(number)) for number in numbers.split()]
    allowed += [codecs.encode]  # an array's bytes; torch allows it by itself from 2.5 on
    # NumPy 2 moved these; a file names them where its writer's NumPy had them.
    for package in ("numpy.core", "numpy._core"):
        allowed.append(_known_as(f"{package}.multiarray._reconstruct", _empty_array))
        allowed.append(_known_as(f"{package}.multiarray.scalar", scalar))
    return allowed


_ALLOWED = _allowed()
_lock = threading.RLock()  # torch's list of safe globals is one for all threads


@contextmanager
def _only_ours_allowed() -> Iterator[None]:
    """Replace torch's list of safe globals by our allow-list.

    Another thread that loads by ``torch.load`` itself meanwhile may find its own entries missing,
    and is refused; it never finds more allowed.
    """
    with _lock:
        before = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(_ALLOWED)
        try:
            yield
        finally:
            now = torch.serialization.get_safe_globals()
            torch.serialization.clear_safe_globals()
            added = [each for each in now if each not in _ALLOWED]  # by other threads
            torch.serialization.add_safe_globals([*before, *added])


def is_whole(file: str | Path) -> bool:
    """Tell whether a file is a complete checkpoint without damage.

    Every record is read and compared with its checksum, at about 1 GB a second.
    """
    return _is_zip(file) and _damage(file) is None


def _is_zip(file: str | Path | BinaryIO) -> bool:
    try:
        return zipfile.is_zipfile(file)
    except zipfile.BadZipFile:  # it has a directory, which is damaged
        return True


def _damage(file: str | Path | BinaryIO) -> str | None:
    """Return the fault of a zip file in words, None if it has none."""
    try:
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            size = archive.fp.seek(0, os.SEEK_END)
            if sum(record.file_size for record in records) > size:
                return "its records are larger than the file"
            broken = archive.testzip()
    # What zipfile says of damaged directories and headers, wherever the damage is.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        return str(error)
    except (OSError, UnicodeDecodeError, ValueError, struct.error) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a seek to before the start
            raise
        return str(error)
    return broken and f"the checksum of {broken} is wrong"


def _read(file: str | Path | BinaryIO, map_location: Any = None, **_: Any) -> Any:
    """Load a file; mmengine calls this instead of ``torch.load``.

    Raises:
        CheckpointError: the file is no checkpoint, is damaged, or asks for more than an allow-list
            of weights and training state.
    """
    name = "the checkpoint" if hasattr(file, "read") else str(file)
    is_zip = _is_zip(file)
    fault = _damage(file) if is_zip else None
    if fault:
        raise CheckpointError(
            f"{name} is damaged ({fault}): copy it again, or resume from an earlier one"
        )
    try:
        checkpoint = _load(file, map_location)
    except Exception as error:  # a file that is not what it should be may raise anything
        if not _is_the_files(error, file, map_location):
            raise
        raise CheckpointError(f"{name} {_refusal(name, error, is_zip)}") from None
    keep_plain(checkpoint, name)
    return checkpoint


def _load(file: str | Path | BinaryIO, map_location: Any) -> Any:
    if not isinstance(file, str | Path):
        file.seek(0)
    with _only_ours_allowed():
        return torch.load(file, map_location=map_location, weights_only=True)


def _is_the_files(error: Exception, file: str | Path | BinaryIO, map_location: Any) -> bool:
    """Tell whether an error comes from a file's content, not from its disk or a device."""
    if isinstance(error, OSError):
        return error.errno == errno.EINVAL  # a seek to before the file's start
    if map_location in (None, "cpu") or isinstance(error, pickle.UnpicklingError):
        return True
    try:
        _load(file, "cpu")
    except Exception:
        return True
    return False


def _refusal(name: str, error: Exception, is_zip: bool) -> str:
    """Return what a file is instead of a checkpoint, and the remedy."""
    text = str(error)
    needed = re.search(r"(?:GLOBAL |<class '|global ')([\w.]+)", text)
    if isinstance(error, pickle.UnpicklingError) and needed:
        return (
            f"needs {needed[1]!r} to load, which is neither weights nor mmengine's training "
            "state, and loading it could run code from the file. If you trust its origin, extract "
            'the weights once: python -c "import torch; file = torch.load('
            f"'{name}', map_location='cpu', weights_only=False); "
            "torch.save({'state_dict': file.get('state_dict', file)}, 'weights.pth')\""
        )
    if "TorchScript" in text:
        return (
            "is a TorchScript archive, which holds a program, and no checkpoint: save the weights "
            "of the model that it was made of"
        )
    if "legacy .tar" in text:
        return "is in a format from before torch 0.4: load and save it with a torch of that time"
    if isinstance(error, MemoryError):
        return "needs more memory to load than there is"
    if is_zip:
        return f"is a zip archive of something else than a checkpoint: {text.splitlines()[0]}"
    if isinstance(error, EOFError | OSError) or "PytorchStreamReader" in text:
        return (
            "is not a complete checkpoint (a copy or a save that was cut short?): delete it, and "
            f"copy it again or resume from an earlier one. torch says: {error}"
        )
    return "is not a checkpoint: cut short, or a file of another kind"


def _load_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True
) -> Any:
    """Load a download safely, instead of torch.hub's function, which runs its code."""
    folder = Path(model_dir or Path(torch.hub.get_dir(), "checkpoints"))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / Path(urlparse(url).path).name
    if not file.exists():
        torch.hub.download_url_to_file(url, str(file), progress=progress)
    return _read(file, map_location)


class _Torch(ModuleType):
    """The module torch for mmengine's loaders, with our ``load``."""

    load = staticmethod(_read)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def _in_words(load: Callable) -> Callable:
    """Wrap the loader of one of mmengine's address schemes."""

    @functools.wraps(load)
    def loader(filename: str, *args: Any, **kwargs: Any) -> Any:
        if Path(filename).is_dir():
            raise FileNotFoundError(f"{filename} is a folder, expected a checkpoint file")
        try:
            return load(filename, *args, **kwargs)
        except urllib.error.URLError as error:
            raise ConnectionError(
                f"cannot download {filename} ({error.reason}): fetch {_address(filename)} where "
                f"there is a network, put it into {torch.hub.get_dir()}/checkpoints, or start "
                "without it by --cfg-options model.backbone.backbone.init_cfg=None "
                "(model.backbone.init_cfg without LTNormBackbone)"
            ) from None

    return loader


def _address(filename: str) -> str:
    """Return the address of a file of torchvision, from mmengine's table; others as they are."""
    addresses = mmengine.load(Path(mmengine.__file__).parent / "hub" / "torchvision_0.12.json")
    return addresses.get(filename.removeprefix("torchvision://"), filename)


def _load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Load from the address in mmengine's table, without an import of torchvision."""
    if (address := _address(filename)) == filename:
        return host.load_from_torchvision(filename, map_location)
    return host.load_from_http(address, map_location=map_location)


host.torch, host.load_url = _Torch("torch"), _load_url
for _prefix, _loader in tuple(CheckpointLoader._schemes.items()):
    if _loader is host.load_from_torchvision:
        _loader = _load_from_torchvision
    CheckpointLoader.register_scheme(_prefix, _in_words(_loader), force=True)
