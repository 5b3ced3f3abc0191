"""Groups of placed norms that share one magnitude."""

import re
from collections.abc import Sequence

SHARE = ("all", "block", "none")


def sharing_groups(names: Sequence[str], share: str = "all") -> list[list[str]]:
    """Group norm layer names by the magnitude they share (NBN paper, Table VII).

    Args:
        names: names of norm layers.
        share: ``'all'``: one group, the paper's choice; ``'block'``: one for each residual block
            (``layer4.0``), or for each parent module outside blocks; ``'none'``: each on its own.

    Raises:
        ValueError: an unknown ``share``.
    """
    if share not in SHARE:
        raise ValueError(f"share must be one of {SHARE}, got {share!r}")
    groups: dict[str, list[str]] = {}
    for name in names:
        key = {"all": "", "block": _block(name), "none": name}[share]
        groups.setdefault(key, []).append(name)
    return list(groups.values())


def _block(name: str) -> str:
    block = re.match(r"(?:.*\.)?layer\d+\.\d+(?=\.)", name)
    return block.group() if block else name.rpartition(".")[0]
