"""A data set's class names against the categories of its annotation file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from mmdet_ltnorm.lettering import some

# MMDetection corrects a name that LVIS's own files misspell.
_CORRECTED = {"speaker_(stero_equipment)": "speaker_(stereo_equipment)"}


def same_names(first: Sequence[str], second: Sequence[str]) -> bool:
    """Tell whether classes are the same in the same order."""
    return _corrected(first) == _corrected(second)


def check_names(
    file: str, categories: Sequence[Mapping[str, Any]], names: Any, labelled: Sequence[str]
) -> None:
    """Compare ``metainfo``'s classes with the categories of a file.

    Args:
        labelled: the categories that have labels, by label. MMDetection labels them in the order of
            the file, whatever the order of the names.

    Raises:
        ValueError: names that are not in the file, that are missing, or in another order.
    """
    known = [category["name"] for category in categories]
    told = "metainfo=dict(classes=...) of the data set"
    is_list = isinstance(names, list | tuple) and bool(names)
    if not is_list or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"{told} must be a list of names, got {names!r}: one class is written as ['car'], a "
            f"tuple of one with a comma, ('car',). {file} has {_listed(known)}"
        )
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{told} names {_listed(sorted(repeated))} more than once")
    corrected = set(_corrected(known))
    unknown = [name for name in names if _CORRECTED.get(name, name) not in corrected]
    if unknown:
        lower = {name.casefold().strip(): name for name in known}
        found = [get_close_matches(name.casefold().strip(), lower, 1, 0.75) for name in unknown[:5]]
        meant = [lower[close] for matches in found for close in matches]
        raise ValueError(
            f"{told} names {_listed(unknown)}, and "
            + (
                f"no category of {file}"
                if len(unknown) == len(names)
                else f"{file} has none so called"
            )
            + (f" (is {_listed(meant)} meant?)" if meant else "")
            + f": give the names of the file, in its order: {_listed(known)}"
        )
    if len(labelled) != len(names):
        missing = [name for name in labelled if name not in names]
        raise ValueError(
            f"{file} has {len(labelled)} categories, and {told} names {len(names)} classes, "
            f"without {_listed(missing)}: give all names in the order of the file: {_listed(known)}"
        )
    if not same_names(names, labelled):
        place = next(
            i for i, pair in enumerate(zip(names, labelled, strict=True)) if len({*pair}) > 1
        )
        raise ValueError(
            f"{told} has the names of {file} in another order: label {place} is "
            f"{labelled[place]!r} there and {names[place]!r} in metainfo. Labels go by the file, "
            "so predictions would carry other classes' names: give the names in the order of the "
            f"file, classes={list(labelled)!r}"
        )


def _corrected(names: Sequence[str]) -> list[str]:
    return [_CORRECTED.get(name, name) for name in names]


def _listed(names: Sequence[str]) -> str:
    return some(map(repr, names), 20)
