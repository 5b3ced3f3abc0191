"""Groups of classes by their number of training samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmdet_ltnorm.arguments import checked_choice, checked_integer
from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.reading import read_json

MANY = 100  # A class with more training samples than this is a many-shot class,
FEW = 20  # and one with fewer than this a few-shot class; both limits themselves are medium.
SHOTS = ("many", "medium", "few")
# LVIS's groups and the letters of its files and scores. Of training images a rare class has at most
# the first limit, a common one at most the second.
FREQUENCIES = {"frequent": "f", "common": "c", "rare": "r"}
RARE_FIRST = "rcf"
LVIS_LIMITS = (10, 100)
# Blue, orange and green, from the most to the least frequent group: SHOTS' and FREQUENCIES' order.
GROUP_COLOURS = ("#0072B2", "#D55E00", "#009E73")
# The ways to divide classes into the groups of split passes.
GROUPINGS = ("contiguous", "modulo", "frequency")


def class_groups(counts: Sequence[int]) -> dict[str, NDArray[np.int64]]:
    """Return the indices of the many- (> 100), medium- (20 to 100) and few-shot (< 20) classes.

    ``counts`` holds the training samples of each class; a class without any is a few-shot class.
    A group may be empty. NBN paper, Section IV-B; CBN paper, Section 4.3.

    Raises:
        ValueError: ``counts`` is not a list of non-negative integers with a positive one.
    """
    counts = checked_counts(counts)
    return {
        "many": np.flatnonzero(counts > MANY),
        "medium": np.flatnonzero((counts >= FEW) & (counts <= MANY)),
        "few": np.flatnonzero(counts < FEW),
    }


def frequency_group(images: int, limits: tuple[int, int] = LVIS_LIMITS) -> str:
    """Return LVIS's group of a class, r, c or f, from the number of its training images."""
    return RARE_FIRST[sum(images > limit for limit in limits)]


def checked_counts(counts: Sequence[int]) -> NDArray[np.int64]:
    """Return class counts as an array; refuse values that cannot be counts."""
    array = np.asarray(counts)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array < 0).any() or not array.any():
        raise ValueError(
            "class counts must be the number of training samples of each class, integers >= 0 "
            f"and not all 0, got {counts!r}"
        )
    return array.astype(np.int64)


def image_counts(ann_file: str | Path) -> tuple[NDArray[np.int64], int]:
    """Return each category's number of images in a file of LVIS's format, and the total.

    The numbers of the categories are their ``image_count``, in the order of the file and of mmdet's
    labels. The total counts the images with annotations; annotations are not kept in memory.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or its categories have no counts.
    """
    annotated = set()

    def without_annotations(entry: dict[str, Any]) -> dict[str, Any] | None:
        if "image_id" not in entry:
            return entry
        annotated.add(entry["image_id"])
        return None

    path = Path(ann_file)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.absolute()} does not exist: the categories of the training annotations hold "
            "the number of images of each class"
        )
    content = read_json(path, object_hook=without_annotations)
    categories = content.get("categories", ()) if isinstance(content, dict) else ()
    if not categories or any("image_count" not in category for category in categories):
        raise ValueError(
            f"{path} has no image_count in its categories, which LVIS's annotation files have"
        )
    return checked_counts([category["image_count"] for category in categories]), len(annotated)


def counts_line(names: Sequence[str], counts: Sequence[int]) -> str:
    """Return the classes with their numbers of training images, the most frequent first.

    Of more than 20 classes, those in the middle are left out.
    """
    order = sorted(range(len(counts)), key=lambda label: -counts[label])
    told = [f"{literal(names[label])} {counts[label]}" for label in order]
    if len(told) > 20:
        told[8:-8] = [f"({len(told) - 16} more)"]
    return f"{len(order)} classes with their training images: {', '.join(told)}"


def group_of_samples(
    labels: Tensor,
    num_groups: int,
    grouping: str = "contiguous",
    *,
    num_classes: int | None = None,
    class_counts: Sequence[int] | Tensor | None = None,
) -> Tensor:
    """Return the group of each sample's class, shape (B,); ``'modulo'`` does not need K.

    Raises:
        ValueError: labels that are not class indices, and what :func:`group_of_classes` raises.
    """
    if labels.dim() != 1 or labels.is_floating_point():
        raise ValueError(
            "labels must be class indices of shape (samples,), got "
            f"{tuple(labels.shape)} of {labels.dtype}"
        )
    low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if grouping == "modulo" and num_classes is None and class_counts is None:
        num_classes = max(high + 1, num_groups)
    groups = group_of_classes(
        num_groups, grouping, num_classes=num_classes, class_counts=class_counts
    )
    if low < 0 or high >= len(groups):
        raise ValueError(f"labels must be in 0..{len(groups) - 1}, got {low}..{high}")
    return groups.to(labels.device)[labels.long()]


def group_of_classes(
    num_groups: int,
    grouping: str = "contiguous",
    *,
    num_classes: int | None = None,
    class_counts: Sequence[int] | Tensor | None = None,
) -> Tensor:
    """Return the group of each class, shape (K,).

    Args:
        grouping: ``'contiguous'``: runs of class indices whose lengths differ by at most one, how
            the paper's "uniformly split ... according to their serial numbers" is read here;
            ``'modulo'``: class k is in group k mod M; ``'frequency'``: runs of the classes from the
            most to the least frequent, which on CIFAR-LT are the contiguous ones.
        num_classes: K; the length of ``class_counts`` where those are given.

    Raises:
        ValueError: an unknown grouping, K or the counts missing, or fewer classes than groups.
    """
    checked_choice("grouping", grouping, GROUPINGS)
    checked_integer("num_groups", num_groups)
    if num_classes is not None:
        checked_integer("num_classes", num_classes, at_least=1)
    if class_counts is None and (grouping == "frequency" or num_classes is None):
        missing = "class_counts" if grouping == "frequency" else "num_classes or class_counts"
        raise ValueError(f"grouping={grouping!r} needs {missing}, got None")
    total = num_classes if class_counts is None else len(class_counts)
    if num_classes not in (None, total):
        raise ValueError(f"num_classes={num_classes}, but class_counts has {total} entries")
    if not 1 <= num_groups <= total:
        raise ValueError(f"num_groups must be in 1..{total} for {total} classes, got {num_groups}")
    if grouping == "modulo":
        return torch.arange(total) % num_groups
    order = torch.arange(total)
    if grouping == "frequency":
        counts = torch.as_tensor(class_counts).cpu()
        if counts.is_floating_point() or counts.dtype == torch.bool or (counts < 0).any():
            raise ValueError(f"class_counts must be integers >= 0, got {class_counts!r}")
        order = counts.argsort(descending=True, stable=True)
    groups = torch.empty_like(order)
    for group, classes in enumerate(order.tensor_split(num_groups)):
        groups[classes] = group
    return groups
