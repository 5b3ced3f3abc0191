"""Split normalization: which component each sample belongs to, told to the layers by a context."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from mmdet_ltnorm.arguments import checked_choice, checked_integer

GROUPINGS = ("contiguous", "modulo", "frequency")


class split_by:  # noqa: N801, reads as torch.no_grad does
    """Make every CBN layer inside use each sample's own component (CBN paper, Algorithm 3).

    ::

        with split_by(labels, num_groups=4, num_classes=100):
            logits = model(images)

    In training a layer normalizes the samples of group j with component j and moves that
    component's statistics; components without a sample in the batch and the priors stay as they
    are. Layers in evaluation mode take no notice. The context belongs to the thread that entered
    it; contexts nest, the innermost counts, and one object may be entered again.

    Args:
        labels: the class of each sample, shape (B,).
        num_groups: M, which must be the layers' ``num_components``.
        grouping: which classes form a group; see :func:`group_of_classes`.
        num_classes: K; ``'modulo'`` can do without.
        class_counts: number of training samples of each class; ``'frequency'`` needs them.

    Raises:
        ValueError: labels that are not class indices, and what :func:`group_of_classes` raises. In
            a layer's forward pass: not as many labels as samples, or groups as components.
    """

    def __init__(
        self,
        labels: Tensor,
        num_groups: int,
        grouping: str = "contiguous",
        *,
        num_classes: int | None = None,
        class_counts: Sequence[int] | Tensor | None = None,
    ) -> None:
        if labels.dim() != 1 or labels.is_floating_point():
            raise ValueError(
                "labels must be class indices of shape (samples,), got "
                f"{tuple(labels.shape)} of {labels.dtype}"
            )
        low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
        if grouping == "modulo" and num_classes is None and class_counts is None:
            num_classes = max(high + 1, num_groups)
        table = group_of_classes(
            num_groups, grouping, num_classes=num_classes, class_counts=class_counts
        )
        if low < 0 or high >= len(table):
            raise ValueError(f"labels must be in 0..{len(table) - 1}, got {low}..{high}")
        self.groups = table.to(labels.device)[labels.long()]
        self.num_groups = num_groups

    def __enter__(self) -> "split_by":
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(self, *_: Any) -> None:
        _entered.set(_entered.get()[:-1])


# A tuple in a context variable: each thread has its own, and leaving needs no token, so that one
# object can be entered twice.
_entered: ContextVar[tuple[split_by, ...]] = ContextVar("entered", default=())


def active_groups(samples: int, components: int) -> Tensor | None:
    """Return the group of each sample (B,) from the innermost context, or None outside of any.

    Raises:
        ValueError: the context is for another number of samples or components; both are named.
    """
    if not _entered.get():
        return None
    split = _entered.get()[-1]
    if split.num_groups != components:
        raise ValueError(
            f"split_by has num_groups={split.num_groups}, but a CBN layer inside has "
            f"num_components={components}: give both the same number"
        )
    if len(split.groups) != samples:
        raise ValueError(
            f"split_by has {len(split.groups)} labels, but a CBN layer inside sees a batch of "
            f"{samples}: give one label for each sample"
        )
    return split.groups


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
            the paper's "uniformly split ... according to their serial numbers" is read here; ``'modulo'``: class k
            is in group k mod M; ``'frequency'``: runs of the classes from the most to the least
            frequent, which on CIFAR-LT are the contiguous ones.
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
