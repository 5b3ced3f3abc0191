"""Common parts of losses: mmdet's calling convention, class counts, and deferral."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmdet_ltnorm.arguments import checked_choice, checked_integer, checked_number
from mmdet_ltnorm.class_groups import checked_counts

REDUCTIONS = ("none", "mean", "sum")


class SampleLoss(nn.Module):
    """A loss of each sample, called and reduced as mmdet's ``CrossEntropyLoss`` is.

    ``forward`` takes logits (N, columns) and labels (N,), and computes in float32 or wider. With
    ``reduction='mean'`` the sum is divided by ``avg_factor``, or by N without one; samples with
    the label ``ignore_index`` have the loss 0 and count in N. The mean of no samples is 0.

    Raises:
        TypeError, ValueError: options that are no numbers, or out of range; in ``forward``, labels
            on the host that are no classes.
    """

    def __init__(
        self, reduction: str = "mean", loss_weight: float = 1.0, ignore_index: int = -100
    ) -> None:
        super().__init__()
        self.reduction = checked_choice("reduction", reduction, REDUCTIONS)
        self.loss_weight = checked_number("loss_weight", loss_weight, at_least=0)
        self.ignore_index = checked_integer("ignore_index", ignore_index)

    def sample_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each sample, (N,)."""
        raise NotImplementedError

    def num_labels(self, logits: Tensor) -> int:
        """Return the number of labels, the background's included."""
        return logits.shape[1]

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = None,
    ) -> Tensor:
        """Return the reduced loss, with ``weight`` (N,) for the samples."""
        # mmdet imports mmcv's compiled ops, which importing this package must not need.
        from mmdet.models.losses.utils import weight_reduce_loss

        reduction = reduction_override or self.reduction
        checked_choice("reduction_override", reduction, REDUCTIONS)
        known = label != (self.ignore_index if ignore_index is None else ignore_index)
        logits = cls_score.to(torch.promote_types(cls_score.dtype, torch.float32))
        labels = label.where(known, 0)
        check_labels(labels, self.num_labels(logits))
        losses = self.sample_losses(logits, labels).where(known, 0)
        if reduction == "mean" and avg_factor is None and not len(losses):
            avg_factor = 1.0
        weight = None if weight is None else weight.to(losses.dtype)
        return self.loss_weight * weight_reduce_loss(losses, weight, reduction, avg_factor)


class ClassCounts(nn.Module):
    """A loss that knows how many training samples each class has.

    The counts are those of the data set: ``ClassCountsHook`` hands them over, and checkpoints keep
    them, as the buffer ``class_counts`` (num_classes,), which is 0 until then. Losses treat a class
    without samples as one with a single sample, so that its logarithm and margin are finite.
    """

    class_counts: Tensor

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        checked_integer("num_classes", num_classes, at_least=1)
        # It has its final size from the start, so that checkpoints load, and so that averaged
        # copies, which mmengine makes before a hook can set the counts, have the same buffers.
        self.register_buffer("class_counts", torch.zeros(num_classes, dtype=torch.int64))
        self._counts_are_known = False  # the device is asked once, not in each training step

    def set_class_counts(self, counts: Sequence[int]) -> None:
        """Set the number of training samples of each class."""
        checked = checked_counts(counts)
        if len(checked) != len(self.class_counts):
            raise ValueError(
                f"the training set has {len(checked)} classes and {type(self).__name__} has "
                f"num_classes={len(self.class_counts)}: they must be equal"
            )
        self.class_counts.copy_(torch.from_numpy(checked))
        self._counts_are_known = True

    def known_class_counts(self) -> Tensor:
        """Return the counts; if they are missing, the error names the hook that sets them."""
        if not self._counts_are_known:
            self._counts_are_known = bool(self.class_counts.any())
        if not self._counts_are_known:
            raise RuntimeError(
                f"{type(self).__name__} does not know the class counts: add "
                "dict(type='ClassCountsHook') to custom_hooks, which hands over those of the "
                "training set, or call set_class_counts"
            )
        return self.class_counts

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._counts_are_known = bool(self.class_counts.any())


class Deferral(nn.Module):
    """A loss that re-weights from an epoch on (deferred re-weighting, from LDAM's paper).

    Args:
        defer_until: the first epoch, counted from 0, that is re-weighted; ``LossEpochHook`` tells
            the epoch.
    """

    def __init__(self, defer_until: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.defer_until = checked_integer("defer_until", defer_until, at_least=0)
        self._is_deferred: bool | None = None if self.defer_until else False

    def set_epoch(self, epoch: int, max_epochs: int) -> None:
        """Set the number of the epoch, counted from 0; the length of the run is not used."""
        # Not the epoch itself: torch.compile makes a graph for each value that a model has.
        self._is_deferred = epoch < self.defer_until

    def is_deferred(self) -> bool:
        """Tell whether re-weighting has not begun; if the epoch is unknown, raise an error."""
        if self._is_deferred is None:
            raise RuntimeError(
                f"{type(self).__name__} re-weights from epoch {self.defer_until} and was not told "
                "the epoch: add dict(type='LossEpochHook') to custom_hooks, or call set_epoch"
            )
        return self._is_deferred


def check_labels(labels: Tensor, count: int) -> None:
    """Check labels (N,) that are on the host; a training step does not wait for a device's.

    Raises:
        ValueError: labels that are not in 0 to count - 1.
    """
    if labels.device.type != "cpu" or torch.compiler.is_compiling() or not len(labels):
        return
    low, high = (int(extreme) for extreme in labels.aminmax())
    if low < 0 or high >= count:
        raise ValueError(
            f"labels must be in 0..{count - 1}, got {low}..{high}: num_classes of the head and "
            "its loss must be the data set's"
        )


def background_columns(logits: Tensor, class_counts: Tensor) -> int:
    """Return 1 for the logits of a box head, whose last column is the background, and else 0."""
    columns, classes = logits.shape[1], len(class_counts)
    if columns not in (classes, classes + 1):
        raise ValueError(
            f"logits have {columns} columns and the class counts {classes} classes: expected "
            f"{classes} columns, or {classes + 1} with the background last; num_classes of the "
            "loss must be that of its head"
        )
    return columns - classes
