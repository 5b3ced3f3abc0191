"""Names shown with all their characters: in pictures, tables and lines."""

import logging
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

from mmengine.logging import print_log

JOINERS = "\u200c\u200d"  # they shape scripts and emoji, and have no look of their own
# Characters with a meaning in Markdown, where they have it: brackets only in links and footnotes.
MARKDOWN = re.compile(r"[\\|*`$~]|\](?=[(\[:])|\[(?=\^)|<(?=[\w/!?])|&(?=[#\w])|_(?!\w)|(?<!\w)_")


def literal(text: object) -> str:
    """Return a name in one line, with invisible characters escaped as in Python.

    That is line ends, control characters (a terminal obeys them), marks that turn the direction of
    the text around them, and halves of characters.
    """
    return "".join(_escaped(c) if _is_hidden(c) else c for c in str(text))


def markdown(text: object) -> str:
    r"""Return a name for a cell of a table in Markdown, ``a|b`` as ``a\|b``."""
    return MARKDOWN.sub(lambda match: f"\\{match[0]}", literal(text))


def some(names: Iterable[str], most: int = 3) -> str:
    """Return the first names of a list and the number of the others, for a message."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@contextmanager
def names_as_text() -> Iterator[None]:
    """Let matplotlib draw dollars as dollars; changes by :func:`drawable` end with the block."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        yield


def drawable(name: object, longest: int = 60) -> str:
    """Return a name for a picture, inside :func:`names_as_text`.

    Its characters come from the fonts that are installed. One that no font has is escaped, and
    said once in the log. A long name loses its middle.
    """
    shown = "".join(map(_in_a_font, literal(name)))
    if len(shown) > longest:
        shown = f"{shown[: longest // 2]}…{shown[-longest // 2 :]}"
    # A legend leaves out what starts with an underscore.
    return f" {shown}" if shown.startswith("_") else shown


def _is_hidden(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in ("Cc", "Cs", "Zl", "Zp") or (kind == "Cf" and character not in JOINERS)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", errors="surrogatepass").decode()


def _in_a_font(character: str) -> str:
    import matplotlib
    from matplotlib.font_manager import FontProperties, findfont

    families = matplotlib.rcParams["font.family"]
    known = (findfont(FontProperties(family=[family])) for family in families)
    if any(_has(path, character) for path in known):
        return character
    if character in JOINERS or unicodedata.name(character, "").startswith("VARIATION SELECTOR"):
        return ""
    if family := _family_with(character):
        matplotlib.rcParams["font.family"] = [*families, family]
        return character
    _tell_once(character)
    return _escaped(character)


@cache
def _has(path: str, character: str) -> bool:
    from matplotlib.font_manager import get_font

    try:
        return bool(get_font(path).get_char_index(ord(character)))
    except (OSError, RuntimeError):  # a font that matplotlib lists and cannot open
        return False


_NOT_COVERED: set[int] = set()  # blocks of 256 characters: there may be thousands of fonts


def _family_with(character: str) -> str:
    """Return an installed family that has a character, empty if none has."""
    from matplotlib.font_manager import fontManager

    block = ord(character) >> 8
    if block not in _NOT_COVERED:
        for entry in fontManager.ttflist:
            # These have a sign for everything, and pictures, which matplotlib does not draw.
            if "Last Resort" in entry.name or "Color" in entry.name:
                continue
            if _has(entry.fname, character):
                return entry.name
        _NOT_COVERED.add(block)
    return ""


_TOLD: list[str] = []


def _tell_once(character: str) -> None:
    if not _TOLD:
        _TOLD.append(character)
        message = (
            f"no installed font has {character} (U+{ord(character):04X}): pictures show it, and "
            f"others like it, as {_escaped(character)}. A font such as Noto Sans CJK has them"
        )
        print_log(message, logger="current", level=logging.WARNING)
