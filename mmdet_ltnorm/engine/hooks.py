"""mmengine hooks: checks at the start of a run, and the curve of NBN's magnitude."""

from typing import Any

import torch
from mmengine.dist import broadcast
from mmengine.hooks import Hook, LoggerHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmdet_ltnorm.class_groups import counts_line
from mmdet_ltnorm.data.annotations import ImageSizes, check_sources
from mmdet_ltnorm.data.wrapped import class_counts, dataset_classes
from mmdet_ltnorm.engine.checks import (
    check_cbn_layers,
    check_classes,
    check_magnitudes,
    check_nbn_layers,
    magnitudes,
)


@HOOKS.register_module()
class CheckClassesHook(Hook):
    """Refuse data whose annotations, classes or image sizes do not fit.

    Validation data is checked before training, not after the first epochs. An image that is loaded
    in another size than was annotated ends the run; some are looked at before the start.
    """

    def __init__(self) -> None:
        self._sizes: dict[str, ImageSizes] = {}

    def before_train(self, runner: Runner) -> None:
        """Check the training and the validation data, and their classes against each other."""
        self._check(runner, "train")
        if runner.val_loop is not None:
            self._check(runner, "val")
            loaders = ("train_dataloader", "val_dataloader")
            check_sources({name: getattr(runner, name).dataset for name in loaders})

    def before_val(self, runner: Runner) -> None:
        """Check the validation data."""
        self._check(runner, "val")

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        self._check(runner, "test")

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, mode: str = "train"
    ) -> None:
        samples = data_batch.get("data_samples") if isinstance(data_batch, dict) else None
        self._sizes[mode].check(samples if isinstance(samples, list) else [])

    def _check(self, runner: Runner, mode: str) -> None:
        if mode not in self._sizes:
            loader = f"{mode}_dataloader"
            dataset = getattr(runner, loader).dataset
            check_classes(runner.model, dataset, loader)
            self._sizes[mode] = ImageSizes(dataset)


class ClassCountsLineHook(Hook):
    """Log the number of images of each class once before training, if it is known."""

    def before_train(self, runner: Runner) -> None:
        """Count and log."""
        dataset = runner.train_dataloader.dataset
        try:
            counts = class_counts(dataset)
            names = dataset_classes(dataset)
        except ValueError:  # what needs the counts refuses the run
            return
        names = names if len(names) == len(counts) else [str(k) for k in range(len(counts))]
        runner.logger.info(counts_line(names, counts))


@HOOKS.register_module()
class CheckNormsHook(Hook):
    """Refuse to train with NBN layers lost, g not optimized once, or CBN's statistics fixed."""

    def before_train(self, runner: Runner) -> None:
        """Check the model that the optimizer will train."""
        check_nbn_layers(runner.model, runner.cfg.get("model"))
        check_magnitudes(runner.model, runner.optim_wrapper.optimizer)
        check_cbn_layers(runner.model)


@HOOKS.register_module()
class BroadcastBuffersHook(Hook):
    """Make all ranks validate with the running statistics of rank 0, which are saved.

    mmengine leaves each rank its own. The scores are then of no single model, and change with a
    resume, which gives all ranks those of rank 0. In a run of one process nothing changes.
    """

    priority = "LOW"  # after EMAHook, which exchanges the model

    def before_val_epoch(self, runner: Runner) -> None:
        """Send the buffers from rank 0."""
        for buffer in runner.model.buffers():
            broadcast(buffer)


@HOOKS.register_module()
class MagnitudeHook(Hook):
    """Log the magnitude g of NBN (NBN paper, Fig. 2) as ``train/magnitude``.

    With several magnitudes, one curve for each under its owner's name.
    """

    def before_train(self, runner: Runner) -> None:
        """Find the magnitudes."""
        named = dict(magnitudes(runner.model))
        self._curves = named if len(named) != 1 else {"magnitude": next(iter(named.values()))}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Record the values after a logged step; other steps do not wait for the device."""
        if not self._curves or not any(_logs(hook, runner, batch_idx) for hook in runner.hooks):
            return
        values = torch.stack([g.detach().reshape(()) for g in self._curves.values()]).tolist()
        for name, value in zip(self._curves, values, strict=True):
            runner.message_hub.update_scalar(f"train/{name}", value)


def _logs(hook: Hook, runner: Runner, batch_idx: int) -> bool:
    return isinstance(hook, LoggerHook) and (
        hook.every_n_inner_iters(batch_idx, hook.interval)
        or hook.end_of_epoch(runner.train_dataloader, batch_idx)
    )
