"""Files that are written whole or not at all: until the new one is whole, the older one stays."""

import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: str | Path) -> Iterator[Path]:
    """Give a path to write to, beside ``file``; when the block ends, it takes the file's place.

    If the block fails, as on a full disk, or the process is killed, what stood there stays as it
    was. Folders that are missing are made. What is no regular file, as ``/dev/stdout``, is written
    to directly.

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
