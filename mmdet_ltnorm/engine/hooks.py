"""mmengine hooks: checks at the start of a run, and the curve of NBN's magnitude."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmdet_ltnorm.engine.checks import (
    check_cbn_layers,
    check_classes,
    check_magnitudes,
    check_nbn_layers,
    magnitudes,
)


@HOOKS.register_module()
class CheckClassesHook(Hook):
    """Refuse to start when a data set's categories and the heads' classes differ.

    Validation data is checked before training, not after the first epochs.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training and the validation data."""
        check_classes(runner.model, runner.train_dataloader.dataset, "train_dataloader")
        if runner.val_loop is not None:
            check_classes(runner.model, runner.val_dataloader.dataset, "val_dataloader")

    def before_val(self, runner: Runner) -> None:
        """Check the validation data."""
        check_classes(runner.model, runner.val_dataloader.dataset, "val_dataloader")

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        check_classes(runner.model, runner.test_dataloader.dataset, "test_dataloader")


@HOOKS.register_module()
class CheckNormsHook(Hook):
    """Refuse to train with NBN layers lost, g not optimized once, or CBN's statistics fixed."""

    def before_train(self, runner: Runner) -> None:
        """Check the model that the optimizer will train."""
        check_nbn_layers(runner.model, runner.cfg.get("model"))
        check_magnitudes(runner.model, runner.optim_wrapper.optimizer)
        check_cbn_layers(runner.model)


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
        """Record the values after the step."""
        for name, magnitude in self._curves.items():
            runner.message_hub.update_scalar(f"train/{name}", magnitude.item())
