"""CIFAR's file format: Python 2 pickles, read without running code from them."""

import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_ltnorm.writing import write_bytes


def load_cifar_pickle(file: str | Path) -> dict[str, Any]:
    """Read a file of CIFAR-10/100 or of the same format, from any source.

    A pickle is a program that may call anything. Here it can only make integers, byte strings,
    lists, dicts and uint8 arrays; what else it asks for is refused. It takes at most as much memory
    as the file is long, even if the file declares larger sizes.

    Raises:
        ValueError: the file asks for something else, which is named, or is no pickle of a dict.
        OSError: the file cannot be read.
    """
    try:
        content = _Unpickler(io.BytesIO(Path(file).read_bytes()), encoding="bytes").load()
        return {_text(key): _plain(value) for key, value in content.items()}
    except OSError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise ValueError(f"{file} is not in CIFAR's format: {error}") from error


def dump_cifar_pickle(content: Mapping[str, Any], file: str | Path) -> None:
    """Write strings, integers, lists and uint8 arrays as CIFAR's own files hold them.

    That is as Python 2 pickled them, with byte strings for keys, which Python 3 no longer writes:
    so that every reader of CIFAR opens the file, and its bytes depend on no version.
    """
    write_bytes(file, pickle.PROTO + b"\x02" + _opcodes(content) + pickle.STOP)


class _Array:
    """Stands in for numpy.ndarray while a pickle is read."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, _, is_fortran, raw = state
        order = "F" if is_fortran else "C"
        self.array = np.frombuffer(raw, np.uint8).reshape(shape, order=order)


class _Uint8:
    """Stands in for numpy.dtype."""

    def __init__(self, name: bytes | str, *_: Any) -> None:
        if _text(name) != "u1":
            raise pickle.UnpicklingError(f"it holds an array of {_text(name)}, expected u1")

    def __setstate__(self, state: tuple) -> None:
        """Ignore the byte order: a byte has none."""


def _new_array(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _new_array,
    ("numpy._core.multiarray", "_reconstruct"): _new_array,  # the same, written by NumPy 2
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Uint8,
    ("_codecs", "encode"): _encode,  # how Python 3 writes bytes in protocol 2
}


def _no_bytearray(unpickler: pickle._Unpickler) -> None:
    raise pickle.UnpicklingError("it holds a bytearray, which no CIFAR file does")


# pickle's unpickler in Python, which is as fast here. The one in C allocates 8 bytes for each place
# of its memo up to the largest that a file names: 9 bytes of a file could make it take 8.6 GB.
class _Unpickler(pickle._Unpickler):
    # Python would allocate a bytearray of the length that a file names, whatever the file's length.
    dispatch = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: _no_bytearray}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no CIFAR file does; it was not run"
            )
        return _STAND_INS[module, name]


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, list):
        return [_text(item) if isinstance(item, bytes) else item for item in value]
    return _text(value) if isinstance(value, bytes) else value


def _opcodes(value: Any) -> bytes:
    if isinstance(value, str):
        return _byte_string(value.encode("latin1"))
    if isinstance(value, int):
        return pickle.BININT + value.to_bytes(4, "little", signed=True)
    if isinstance(value, np.ndarray):
        return _array_opcodes(value)
    if isinstance(value, Sequence):
        items = b"".join(map(_opcodes, value))
        return pickle.EMPTY_LIST + pickle.MARK + items + pickle.APPENDS
    items = b"".join(_opcodes(key) + _opcodes(item) for key, item in value.items())
    return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS


def _byte_string(raw: bytes) -> bytes:
    if len(raw) < 256:
        return pickle.SHORT_BINSTRING + bytes([len(raw)]) + raw
    return pickle.BINSTRING + len(raw).to_bytes(4, "little") + raw


def _array_opcodes(array: np.ndarray) -> bytes:
    """Build numpy.core.multiarray._reconstruct(ndarray, (0,), "b") and set its state."""
    if array.dtype != np.uint8:
        raise TypeError(f"CIFAR's arrays are uint8, got {array.dtype}")

    def make(callable_name: bytes, *arguments: bytes) -> bytes:
        return pickle.GLOBAL + callable_name + _tuple(*arguments) + pickle.REDUCE

    def state(*values: bytes) -> bytes:
        return _tuple(*values) + pickle.BUILD

    none, minus_one = pickle.NONE, _opcodes(-1)
    dtype = make(b"numpy\ndtype\n", _opcodes("u1"), _opcodes(0), _opcodes(1))
    dtype += state(_opcodes(3), _opcodes("|"), none, none, none, minus_one, minus_one, _opcodes(0))
    empty = make(
        b"numpy.core.multiarray\n_reconstruct\n",
        pickle.GLOBAL + b"numpy\nndarray\n",
        _tuple(_opcodes(0)),
        _opcodes("b"),
    )
    shape = _tuple(*map(_opcodes, array.shape))
    return empty + state(_opcodes(1), shape, dtype, pickle.NEWFALSE, _byte_string(array.tobytes()))


def _tuple(*items: bytes) -> bytes:
    return pickle.MARK + b"".join(items) + pickle.TUPLE
