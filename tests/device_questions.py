"""Finds, on torch's "meta" device, what would make a training step wait for a GPU."""

import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.fx.experimental import _config as tracing
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

PACKAGE = f"{Path(__file__).parents[1] / 'mmdet_ltnorm'}/"
# Operations whose result, or its shape, the host needs: it has to wait until the GPU is done.
ASKING = {
    *("_local_scalar_dense", "is_nonzero", "equal", "allclose", "nonzero", "masked_select"),
    *("_unique2", "unique_dim", "unique_consecutive", "bincount", "repeat_interleave"),
}
FROM_NUMBERS = {torch.tensor, torch.as_tensor, Tensor.new_tensor}  # which lie on the host


class Questions:
    """A context that notes what would make the host wait if tensors on "meta" were on a GPU.

    That is reading a value, making a shape that depends on values, and copying between device and
    host. Values that are read are zeros, and masks are all true. ``asked`` names each operation
    with the package's line that calls it.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._inside = ExitStack()

    def note(self, what: str) -> None:
        """Note an operation and the line that calls it."""
        frames = [f for f in traceback.extract_stack() if f.filename.startswith(PACKAGE)]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "elsewhere"
        self.asked.append(f"{what} in {where}")

    def __enter__(self) -> "Questions":
        for context in (
            tracing.patch(meta_nonzero_assume_all_nonzero=True),
            patch.object(torch, "autocast", _autocast),
            _Operations(self.note),
            _Constructors(self.note),
        ):
            self._inside.enter_context(context)
        return self

    def __exit__(self, *error: Any) -> None:
        self._inside.close()


def _autocast(device_type: str, *args: Any, original: Any = torch.autocast, **kwargs: Any) -> Any:
    return original("cpu" if device_type == "meta" else device_type, *args, **kwargs)


class _Operations(TorchDispatchMode):
    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, kwargs = function.overloadpacket.__name__, kwargs or {}
        tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_device = any(tensor.is_meta for tensor in tensors)
        if name in ASKING and on_device:
            self._note(name)
            if name == "_local_scalar_dense":
                return torch.zeros((), dtype=tensors[0].dtype).item()
            if name in ("is_nonzero", "equal", "allclose"):
                return False
        elif name in ("index", "index_put_", "index_put") and on_device:
            for place in args[1]:
                if place is not None and (place.dtype == torch.bool or not place.is_meta):
                    self._note(f"{name} by {'a mask' if place.is_meta else 'numbers'}")
        elif name == "copy_" and len({tensor.device for tensor in tensors}) > 1:
            self._note("a copy between host and device")
        elif name == "_to_copy" and kwargs.get("device", tensors[0].device) != tensors[0].device:
            self._note("a copy between host and device")
            return torch.zeros_like(tensors[0], **kwargs)
        return function(*args, **kwargs)


class _Constructors(TorchFunctionMode):
    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        by_numbers = function is Tensor.__getitem__ and isinstance(args[1], list)
        if (function in FROM_NUMBERS or by_numbers) and result.is_meta:
            self._note("numbers of the host")
        return result
