"""Files that run code when they are unpickled; each would create a file ``sign``."""

import importlib
import io
import os
import pickle
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


class Calls:
    """Unpickling this object calls ``function``, or what that unpickles to, with arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __call__(self) -> None:
        """Do nothing: pickle only asks whether this is callable."""

    def __reduce__(self) -> tuple[Any, tuple]:
        return self.function, self.arguments


class Sets:
    """Unpickling this object sets the state of an object that a call returned."""

    def __init__(self, function: Callable, arguments: tuple, state: Any) -> None:
        self.parts = function, arguments, state

    def __reduce__(self) -> tuple:
        return self.parts


def payloads(sign: Path) -> dict[str, Any]:
    """Return objects that create the file ``sign`` when a plain unpickler reads them."""
    touch, code = f"touch {sign}", f"open({str(sign)!r}, 'w').close()"
    globals_of_host = Calls(getattr, HistoryBuffer.mean, "__globals__")
    builtins = Calls(Calls(getattr, globals_of_host, "get"), "__builtins__")
    state = {"_log_history": np.zeros(1), "_count_history": np.ones(1), "max_length": 9}
    return {
        "os.system": Calls(os.system, touch),
        "subprocess": Calls(subprocess.check_call, touch.split()),
        "eval": Calls(eval, code),
        "exec": Calls(exec, code),
        "open": Calls(open, str(sign), "w"),
        "shutil": Calls(shutil.copy, __file__, str(sign)),
        "getattr": Calls(Calls(getattr, Calls(importlib.import_module, "os"), "system"), touch),
        "globals": Calls(Calls(Calls(getattr, builtins, "get"), "eval"), code),
        "pickle.loads": Calls(pickle.loads, pickle.dumps(Calls(eval, code))),
        "history": Sets(HistoryBuffer, (), {**state, "more": Calls(exec, code)}),
        "array": Sets(np.ndarray, ((1,),), (1, (1,), np.dtype("O"), False, [Calls(exec, code)])),
    }


def in_checkpoint(payload: Any, where: str) -> dict[str, Any]:
    """Return the content of a training checkpoint with the payload in one of its parts."""
    hub = {"log_scalars": {}, "runtime_info": {"epoch": 1}, "resumed_keys": {"epoch": True}}
    content: dict[str, Any] = {
        "state_dict": {"weight": torch.ones(1)},
        "meta": {"epoch": 1, "iter": 4},
        "message_hub": hub,
        "optimizer": {"state": {}, "param_groups": []},
    }
    *parents, last = where.split(".")
    place = content
    for parent in parents:
        place = place[parent]
    place[last] = payload
    return content


PARTS = (
    "extra",
    "state_dict.bias",
    "meta.dataset_meta",
    "message_hub.log_scalars.train/loss",
    "message_hub.runtime_info.best_ckpt",
    "optimizer.state",
)


def write_zip(content: Any, file: Path) -> None:
    """Write as torch does today."""
    torch.save(content, file)


def write_legacy(content: Any, file: Path) -> None:
    """Write as torch did before 1.6."""
    torch.save(content, file, _use_new_zipfile_serialization=False)


def write_pickle(content: Any, file: Path) -> None:
    """Write a pickle, which torch.load takes for the older format."""
    file.write_bytes(pickle.dumps(content, protocol=2))


def write_tar(content: Any, file: Path) -> None:
    """Write as torch did before 0.2."""
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            raw = pickle.dumps(content, protocol=2)
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))


FORMATS = (write_zip, write_legacy, write_pickle, write_tar)
