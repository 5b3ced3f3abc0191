"""mmengine hooks that tell losses and metrics about the training set and the schedule."""

from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from mmdet_ltnorm.data.wrapped import (
    check_same_classes,
    class_counts,
    dataset_classes,
    dataset_parts,
    training_set,
)


@HOOKS.register_module()
class ClassCountsHook(Hook):
    """Pass the training set's class counts to every loss and metric with ``set_class_counts``.

    The counts come from the data, so they cannot disagree with it. A run that only tests builds the
    training set without loading an image.

    Raises:
        ValueError: the training set does not know its counts, a head, loss or metric is made for
            another number of classes, or the test set names other classes, or in another order.
    """

    def __init__(self) -> None:
        self._counts: list[int] | None = None

    def before_train(self, runner: Runner) -> None:
        """Count the classes and pass the counts to the losses."""
        self._count(runner.train_dataloader.dataset)
        self._tell_model(runner)
        if runner.val_loop is not None:
            check_same_classes(self._names, dataset_classes(runner.val_dataloader.dataset))

    def before_val(self, runner: Runner) -> None:
        """Pass the counts to the metrics and, outside of training, to the losses."""
        self._before_evaluation(runner, runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Pass the counts to the metrics and, outside of training, to the losses."""
        self._before_evaluation(runner, runner.test_loop)

    def _before_evaluation(self, runner: Runner, loop: Any) -> None:
        if self._counts is None:
            self._count(training_set(runner.cfg))
            self._tell_model(runner)
        check_same_classes(self._names, dataset_classes(loop.dataloader.dataset))
        _number_samples(loop.dataloader.dataset)
        for metric in loop.evaluator.metrics:
            if hasattr(metric, "set_class_counts"):
                metric.set_class_counts(self._counts)

    def _count(self, dataset: Any) -> None:
        self._names = dataset_classes(dataset)
        self._counts = class_counts(dataset)

    def _tell_model(self, runner: Runner) -> None:
        for name, module in runner.model.named_modules():
            classes = getattr(module, "num_classes", len(self._counts))
            if classes != len(self._counts):
                raise ValueError(
                    f"the training set has {len(self._counts)} classes and the model's "
                    f"{name.removeprefix('module.')} has num_classes={classes}: they must be equal"
                )
        for module in _having(runner.model, "set_class_counts"):
            module.set_class_counts(self._counts)


@HOOKS.register_module()
class LossEpochHook(Hook):
    """Tell every loss with ``set_epoch`` the epoch, counted from 0, before it begins.

    Raises:
        ValueError: such a loss in a run that counts iterations.
    """

    def before_train(self, runner: Runner) -> None:
        """Refuse a schedule without epochs."""
        scheduled = [type(module).__name__ for module in _having(runner.model, "set_epoch")]
        if scheduled and not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                f"{', '.join(scheduled)} follows the epochs, and this run counts iterations: use "
                "train_cfg=dict(by_epoch=True, max_epochs=...)"
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Pass the epoch to the losses."""
        for module in _having(runner.model, "set_epoch"):
            module.set_epoch(runner.epoch, runner.max_epochs)


def _number_samples(dataset: Any) -> None:
    """Number the samples of joined data sets consecutively by ``sample_idx``."""
    first, *others = dataset_parts(dataset)
    for part in others:
        part.first_index = getattr(first, "first_index", 0) + len(first)
        first = part


def _having(model: nn.Module, method: str) -> Iterator[nn.Module]:
    return (module for module in model.modules() if hasattr(module, method))
