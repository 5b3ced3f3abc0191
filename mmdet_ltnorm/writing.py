"""Atomic writes: the old file stays until the new file is complete."""

import json
import math
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def check_outputs(outputs: Iterable[str | Path], inputs: Iterable[str | Path] = ()) -> None:
    """Refuse two outputs to one file, and an output over an input.

    Links lead to one file, and so do names that differ in the case of letters, where the file
    system does not tell them apart: such names are refused everywhere.

    Raises:
        ValueError: naming both.
    """
    taken = {place: file for file in inputs for place in _places(file)}
    for output in outputs:
        places = _places(output)
        if place := next((place for place in places if place in taken), None):
            raise ValueError(
                f"{output} would be written over {taken[place]}: name another place to write to"
            )
        taken |= dict.fromkeys(places, output)


def _places(file: str | Path) -> list[Any]:
    """Return keys that all names of one file share: the path without links, and the inode."""
    path = os.path.realpath(file)
    found = [path.casefold()]
    if os.path.isfile(path):
        found.append(os.stat(path)[1:3])  # another path to it, through a mount or a hard link
    return found


@contextmanager
def replacing(file: str | Path) -> Iterator[Path]:
    """Yield a path to write to, beside ``file``; when the block ends, it replaces ``file``.

    If the block fails, as on a full disk, or the process is killed, what stood there stays as it
    was. Folders that are missing are made. Files that are not regular,
    such as ``/dev/stdout``, are written directly.

    Raises:
        OSError: the file cannot be written; its name is in the error.
    """
    target = Path(os.path.realpath(file))  # of a link, what it points to is replaced
    if target.exists() and not target.is_file():
        yield target
        return
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(13, "Permission denied", str(file))
    partial = target.with_name(f".partial-{secrets.token_hex(4)}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("r+b") as written:
            os.fsync(written.fileno())
        if target.exists():
            shutil.copymode(target, partial)
        os.replace(partial, target)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(partial)):
            raise
        raise OSError(error.errno, error.strerror, str(file)) from error
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(file: str | Path, content: bytes | memoryview) -> None:
    """Write bytes as :func:`replacing` does."""
    with replacing(file) as partial, open(partial, "wb") as out:
        out.write(content)


def write_text(file: str | Path, text: str) -> None:
    """Write text in UTF-8 as :func:`replacing` does, with the line ends that it has."""
    # Names of files may hold bytes that are no UTF-8; Python has surrogates for them.
    write_bytes(file, text.encode("utf-8", errors="backslashreplace"))


def write_json(file: str | Path, content: object, indent: int | None = 1) -> None:
    """Write JSON as :func:`replacing` does, ``null`` where a number is not finite."""
    try:
        text = json.dumps(content, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_null_for_nan(content), indent=indent, allow_nan=False)
    write_text(file, text + "\n")


def _null_for_nan(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _null_for_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_null_for_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
