"""The validation that a killed run has not done."""

import logging
import re

from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmdet_ltnorm.results.logs import read_validations


@HOOKS.register_module()
class MissingValidationHook(Hook):
    """Validate a resumed checkpoint first if its run was killed before its validation.

    mmengine saves a checkpoint before it validates, and a resumed run goes on with the next epoch.
    If no epoch is left, the run says so.
    """

    priority = "LOWEST"

    def before_run(self, runner: Runner) -> None:
        """Forget earlier runs."""
        self._saved_at: str | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store the start time of the process that saved the checkpoint."""
        name = str((checkpoint.get("meta") or {}).get("experiment_name", ""))
        started = re.search(r"\d{8}_\d{6}$", name)
        self._saved_at = started[0] if started else ""

    def before_train(self, runner: Runner) -> None:
        """Do the missing validation, and tell if there is nothing to train."""
        loop = runner.train_loop
        if self._saved_at is None or not loop.iter:  # not resumed
            return
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        step, end = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
        unit = "epoch" if by_epoch else "iteration"
        loop._decide_current_val_interval()
        due = step >= loop.val_begin and (step % loop.val_interval == 0 or step == end)
        if due and runner.val_loop is not None and not self._was_validated(runner, step):
            print_log(f"validating {unit} {step}, as the run before did not", logger="current")
            runner.val_loop.run()
        if step >= end:
            longer = "max_epochs" if by_epoch else "max_iters"
            print_log(
                f"nothing is left to do: {runner.work_dir} is at {unit} {step} of {end}; to train "
                f"longer, raise train_cfg.{longer} and what the schedule says of it",
                logger="current",
                level=logging.WARNING,
            )

    def _was_validated(self, runner: Runner, step: int) -> bool:
        """Tell whether logs have the validation; rank 0 reads those since the saving process."""
        records = read_validations(runner.work_dir, since=self._saved_at)
        found = [any(record.get("step") == step for record in records)]
        broadcast_object_list(found)
        return found[0]
