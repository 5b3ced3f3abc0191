"""The docstrings of the configs, read for the pages that are made from them."""

import ast
import re
from pathlib import Path
from typing import NamedTuple

_SOURCE = re.compile(r"(\w+) paper (Tables? .+?): (.+)\.")
_IMBALANCES = re.compile(r"([\d., ]+) at imbalance ((?:\d+, )+\d+)")
_MEASURED = re.compile(r"Measured, (.+?): (.+)\.")


class Leaf(NamedTuple):
    """The contents of a config's docstring."""

    path: Path
    title: str
    command: str
    rows: tuple[tuple[str, str], ...]  # rows of the papers, each with its numbers
    measured: str  # empty if nothing was measured
    option: str = ""  # makes the command that of another imbalance, whose place N takes


def read_leaf(path: Path) -> Leaf:
    """Read a config's docstring, which has this form::

        What it is, in a sentence.

            python tools/train.py configs/FOLDER/NAME.py
            ... --work-dir DIR --cfg-options train_dataloader.dataset.imbalance_factor=200  # or 50

        NBN paper Table X, ROW: NUMBERS at imbalance 200, 100, 50.
        Measured, HOW: NUMBERS.

    Several rows may follow each other; ``No row in the papers.`` stands for none, with a reason
    after a colon or in brackets if there is one, and ``Not measured here.`` for no measurement.
    The second command is there where a row has numbers at several imbalances, as many numbers as
    imbalances. These are sentences, so that lines may be wrapped; all other sentences are notes.

    Raises:
        ValueError: something of this is missing; the message says what.
    """
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    title, command, statements = [*text.split("\n\n", 2), "", ""][:3]
    sentences = re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(statements.split()))
    rows = [match.groups() for match in map(_SOURCE.fullmatch, sentences) if match]
    scores = [match.groups() for match in map(_MEASURED.fullmatch, sentences) if match]
    several = [found for _, _, numbers in rows if (found := _IMBALANCES.search(numbers))]
    option = re.sub(r"imbalance_factor=\d+", "imbalance_factor=N", command.partition("    ... ")[2])
    option = " ".join(option.partition("  #")[0].split()) if several else ""
    no_row = any(sentence.startswith("No row in the papers") for sentence in sentences)
    needs = {
        "a first paragraph of one sentence": title.endswith(".") and "\n" not in title,
        "an indented command": command.startswith("    "),
        "'NBN paper Table X, ROW: NUMBERS.' or 'No row in the papers.'": bool(rows) != no_row,
        "'... --work-dir DIR --cfg-options ...imbalance_factor=' below the command": (
            "imbalance_factor=N" in option or not several
        ),
        "as many numbers as imbalances in a row": all(
            found[1].count(",") == found[2].count(",") for found in several
        ),
        "'Measured, HOW: NUMBERS.' or 'Not measured here.'": bool(scores)
        != ("Not measured here." in sentences),
    }
    missing = [need for need, met in needs.items() if not met]
    if missing:
        raise ValueError(f"the docstring of {path} needs {'; '.join(missing)}")
    return Leaf(
        path,
        title,
        command.strip().splitlines()[0].partition("#")[0].strip() if command else "",
        tuple((f"{paper} {table}", numbers) for paper, table, numbers in rows),
        "<br>".join(f"{numbers}, {how}" for how, numbers in scores),
        option,
    )


def leaf_paths(configs: Path) -> list[Path]:
    """Return the configs that can be run: all except those in ``_base_``."""
    return sorted(path for path in configs.glob("*/*.py") if path.parent.name != "_base_")


def with_table(text: str, table: str, begin: str, end: str) -> str:
    """Return a text with the table between two markers.

    Raises:
        ValueError: the text does not have each marker once, in their order.
    """
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"expected these two lines, once each, around the table:\n{begin}\n{end}")
    before, after = text.partition(begin)[0], text.partition(end)[2]
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"
