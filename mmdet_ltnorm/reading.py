"""Text and JSON of other programs, read in any encoding or refused with the place."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import get

# What a file may begin with, and what it is then; of two that fit, the longer one comes first.
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}

CONFIGS = Path(__file__).resolve().parent / ".mim" / "configs"


def read_text(file: str | Path, backend_args: Mapping[str, Any] | None = None) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 or UTF-32 if a byte-order mark says so.

    The mark is left out, and every line ends with a newline alone, as Windows's do not. Remote
    files are read as mmengine does, with ``backend_args``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the bytes are no such text; names the file and the line.
    """
    path = Path(file)
    if backend_args or "://" in str(file):
        raw = get(file, backend_args=dict(backend_args or {}) or None)
    elif path.is_file():
        raw = path.read_bytes()
    else:
        raise FileNotFoundError(f"{path.absolute()} does not exist, or is no file")
    encoding = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not {encoding[:6].upper()}, as "
            "in a file saved as Latin-1 or by Windows as ANSI: save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{path}, line {line}: it has zero bytes, so it is no text in UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def read_lines(file: str | Path) -> list[str]:
    """Return the lines as :func:`read_text` reads them, without blank ones at the end."""
    lines = read_text(file).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def read_json(
    file: str | Path,
    object_hook: Callable[[dict], Any] | None = None,
    backend_args: Mapping[str, Any] | None = None,
) -> Any:
    """Return the content of a JSON file, read as :func:`read_text` does.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON; names the file and the line.
    """
    text = read_text(file, backend_args)
    try:
        return json.loads(text, object_hook=object_hook)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{file}, line {error.lineno}, column {error.colno} is not JSON ({error.msg}): "
            "cut short, or a file of another kind?"
        ) from None
    except (RecursionError, ValueError) as error:  # too deeply nested, a number without end
        raise ValueError(f"{file} is not JSON that Python reads: {error}") from None


def read_config(file: str | Path) -> Config:
    """Return the content of a config; a config is code, which is run.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: what the code in it raises.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"{path.absolute()} does not exist, or is no file")
    try:
        return Config.fromfile(path)
    except Exception as error:  # it may raise anything
        kind = type(error).__name__
        remedy = ""
        if "mmdet_ltnorm config" in str(error):  # mmengine knows no such scope
            remedy = f" Name a base of this package by its path, which is below {CONFIGS}"
        raise ValueError(f"{file} cannot be read as a config: {kind}: {error}{remedy}") from error


def read_model_config(file: str | Path) -> Config:
    """Return a config as :func:`read_config` does, and require a model in it.

    Raises:
        FileNotFoundError, ValueError: see there; or it has no model.
    """
    cfg = read_config(file)
    if "model" not in cfg:
        raise ValueError(f"{file} is no config of a model: it has {', '.join(cfg) or 'no entry'}")
    return cfg
