"""Result tables in Markdown."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mmdet_ltnorm.lettering import markdown

LVIS_COLUMNS = ("AP", "APr", "APc", "APf")


class Table(NamedTuple):
    """Rows of cells of text below a header; as text it is Markdown."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        return markdown_table(self.header, self.rows)


def lvis_table(results: Mapping[str, Mapping[str, float]]) -> str:
    """Return box and mask AP of several runs side by side, and the others' distance to the first.

    Args:
        results: for each run its metrics as ``LTLVISMetric`` names them, from 0 to 1.
    """
    keys = [f"lvis/{kind}_{column}" for kind in ("bbox", "segm") for column in LVIS_COLUMNS]
    header = [f"{kind} {column}" for kind in ("box", "mask") for column in LVIS_COLUMNS]
    first, *others = results
    rows = [[name, *(_points(metrics[key]) for key in keys)] for name, metrics in results.items()]
    for name in others:
        gains = [results[name][key] - results[first][key] for key in keys]
        rows.append([f"{name} − {first}", *(_points(gain, "+.1f") for gain in gains)])
    return markdown_table(["", *header], rows)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns, the first to the left; cells are text."""
    header, *rows = ([markdown(cell) for cell in row] for row in (header, *rows))
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return f"| {first[0]:{first[1]}} | " + " | ".join(f"{c:>{w}}" for c, w in rest) + " |"

    rule = f"|{'-' * (widths[0] + 2)}|" + "|".join(f"{'-' * (w + 1)}:" for w in widths[1:]) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])


def _points(value: float, form: str = ".1f") -> str:
    """Format a fraction in points; a group without ground truth has no number."""
    return "n/a" if value != value else f"{100 * value:{form}}"
