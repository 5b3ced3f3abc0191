"""Split normalization: contexts that tell CBN layers the group of each sample.

The layers know no class: they ask :func:`active_groups`. Which classes form a group is said in
:mod:`mmdet_ltnorm.class_groups`.
"""

import threading
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mmdet_ltnorm.class_groups import group_of_samples


class split_into:  # noqa: N801, reads as torch.no_grad does
    """Make every CBN layer inside use each sample's own component (CBN paper, Algorithm 3).

    In training a layer normalizes the samples of group j with component j and moves that
    component's statistics; components without a sample in the batch and the priors stay as they
    are. Layers in evaluation mode take no notice. The context belongs to the thread that entered
    it; contexts nest, the innermost counts, and one object may be entered again.

    Args:
        groups: the group of each sample, 0..M-1, shape (B,); the values are not checked.
        num_groups: M, which must be the layers' ``num_components``.

    Raises:
        ValueError: in a layer's forward pass, not as many groups as samples, or as components.
    """

    def __init__(self, groups: Tensor, num_groups: int) -> None:
        self.groups = groups
        self.num_groups = num_groups

    def __enter__(self) -> "split_into":
        _entered.stack = (*_entered.stack, self)
        return self

    def __exit__(self, *_: Any) -> None:
        _entered.stack = _entered.stack[:-1]


class split_by(split_into):  # noqa: N801
    """Make every CBN layer inside use the component of each sample's class.

    ::

        with split_by(labels, num_groups=4, num_classes=100):
            logits = model(images)

    It checks the labels' values, for which the host waits for the device; :class:`split_into` does
    not.

    Args:
        labels: the class of each sample, shape (B,).
        num_groups: M, which must be the layers' ``num_components``.
        grouping: which classes form a group; see ``class_groups.group_of_classes``.
        num_classes: K; ``'modulo'`` does not need it.
        class_counts: number of training samples of each class; ``'frequency'`` needs them.

    Raises:
        ValueError: labels that are not class indices, and what ``group_of_classes`` and
            :class:`split_into` raise.
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
        groups = group_of_samples(
            labels, num_groups, grouping, num_classes=num_classes, class_counts=class_counts
        )
        super().__init__(groups, num_groups)


class _Entered(threading.local):
    """The contexts that a thread is in; torch.compile can trace it, unlike a ContextVar."""

    def __init__(self) -> None:
        self.stack: tuple[split_into, ...] = ()


_entered = _Entered()


def active_groups(samples: int, components: int) -> Tensor | None:
    """Return the group of each sample (B,) from the innermost context, or None outside of any.

    Raises:
        ValueError: the context is for another number of samples or components; both are named.
    """
    if not _entered.stack:
        return None
    split = _entered.stack[-1]
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
