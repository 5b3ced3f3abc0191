"""Resumed runs with another schedule than the checkpoint's run."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper, OptimWrapperDict, _ParamScheduler
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner

# The entries of a scheduler's state that change while it runs; the config sets the others.
_PROGRESS = {
    *("last_step", "_global_step", "_last_value", "verbose"),
    *("best", "num_bad_epochs", "cooldown_counter"),
}
# Options of optimizers that come from the config and hold no state of the run.
_OPTIONS = ("lr", "momentum", "betas", "weight_decay", "dampening", "nesterov", "eps")


@HOOKS.register_module()
class ResumeHook(Hook):
    """Make a resumed run follow its config: schedules, options of the optimizer, iterations.

    mmengine takes all three from the checkpoint, whatever the config says: after a cosine that has
    ended, more epochs would go on at its last learning rate. With another schedule than the
    checkpoint's, the rates are those of a run that has followed the new one from its start. A run
    that counts epochs resumes at the start of an epoch, and counts its iterations as if all epochs
    had as many as this one.

    Raises:
        ValueError: the schedule has changed, and one of its schedulers follows scores.
    """

    priority = "HIGHEST"

    def before_run(self, runner: Runner) -> None:
        """Keep the schedulers and options of the config before a checkpoint replaces them."""
        self._saved: list[Mapping[str, Any]] | None = None
        if isinstance(runner.optim_wrapper, OptimWrapper):  # in a test it is not built
            self._options = [dict(group, params=None) for group in _groups(runner.optim_wrapper)]
            self._fresh = [scheduler.state_dict() for scheduler in _flat(runner.param_schedulers)]

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the schedulers of the checkpoint."""
        self._saved = _flat(checkpoint.get("param_schedulers"))

    def before_train(self, runner: Runner) -> None:
        """Set iterations, options and schedulers of a resumed run."""
        loop = runner.train_loop
        if self._saved is None or not loop.iter:
            return
        if isinstance(loop, EpochBasedTrainLoop):
            length = len(loop.dataloader)
            if loop.iter != loop.epoch * length:
                print_log(
                    f"the checkpoint's iteration {loop.iter} is not the end of epoch {loop.epoch} "
                    f"at {length} iterations an epoch: going on at the start of the next epoch",
                    logger="current",
                    level=logging.WARNING,
                )
                loop._iter = loop.epoch * length
                runner.optim_wrapper.initialize_count_status(
                    runner.model, loop.iter, loop.max_iters
                )
        schedulers = _flat(runner.param_schedulers)
        scheduled = {name for scheduler in schedulers for name in _changed_by(scheduler)}
        self._take_options(runner.optim_wrapper, scheduled)
        if not self._is_followed(schedulers, loop):
            self._replay(schedulers, scheduled, runner)

    def _take_options(self, optimizer: OptimWrapper, scheduled: set[str]) -> None:
        """Set the optimizer's options to the config's."""
        changes = set()
        for group, options in zip(_groups(optimizer), self._options, strict=True):
            for name in set(_OPTIONS) & options.keys() - scheduled:
                if group.get(name) != options[name]:
                    changes.add(f"{name} {options[name]} (the checkpoint's run had {group[name]})")
                    group[name] = options[name]
        if changes:
            print_log(f"as the config says: {', '.join(sorted(changes))}", logger="current")

    def _is_followed(self, schedulers: list[_ParamScheduler], loop: Any) -> bool:
        """Tell whether the checkpoint's schedulers equal the config's at the run's position."""
        if [_definition(state) for state in self._saved] != list(map(_definition, self._fresh)):
            return False
        steps = [loop.epoch if scheduler.by_epoch else loop.iter for scheduler in schedulers]
        return [scheduler._global_step for scheduler in schedulers] == steps

    def _replay(self, schedulers: list[_ParamScheduler], scheduled: set[str], runner: Any) -> None:
        """Step the config's schedulers from their start to the run's position."""
        for scheduler in schedulers:
            if getattr(scheduler, "need_val_args", False):
                raise ValueError(
                    f"{type(scheduler).__name__} follows the scores of earlier epochs, which the "
                    "changed schedule would not have had: resume with the schedule and the batch "
                    "size of the checkpoint's run, or start anew from its weights with "
                    "--cfg-options load_from=CHECKPOINT"
                )
        for group, options in zip(_groups(runner.optim_wrapper), self._options, strict=True):
            # initial_lr, max_lr and their like included.
            group.update(
                {k: v for k, v in options.items() if any(k.endswith(name) for name in scheduled)}
            )
        for scheduler, state in zip(schedulers, self._fresh, strict=True):
            scheduler.load_state_dict(state)
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        with warnings.catch_warnings():  # no step of the optimizer comes before these
            warnings.simplefilter("ignore", UserWarning)
            for iteration in range(1, loop.iter + 1):
                for scheduler in schedulers:
                    if not scheduler.by_epoch:
                        scheduler.step()
                if by_epoch and iteration % len(loop.dataloader) == 0:
                    for scheduler in schedulers:
                        if scheduler.by_epoch:
                            scheduler.step()
        rates = {name: rate[0] for name, rate in runner.optim_wrapper.get_lr().items()}
        print_log(
            "the config's schedule is not the one of the checkpoint's run: going on as if it had "
            f"been followed from the start, with {rates} now",
            logger="current",
            level=logging.WARNING,
        )


def _flat(schedulers: Any) -> list:
    """List the schedulers of one optimizer, or of several by their names."""
    if isinstance(schedulers, Mapping):
        return [scheduler for each in schedulers.values() for scheduler in each]
    return list(schedulers or ())


def _groups(optimizer: OptimWrapper) -> Iterator[dict[str, Any]]:
    """Yield the parameter groups of one optimizer, or of several."""
    wrappers = optimizer.values() if isinstance(optimizer, OptimWrapperDict) else [optimizer]
    for wrapper in wrappers:
        yield from wrapper.param_groups


def _changed_by(scheduler: _ParamScheduler) -> tuple[str, ...]:
    """Return the options that a scheduler sets; Adam has its momentum in ``betas``."""
    name = scheduler.param_name
    return (name, "betas") if name == "momentum" else (name,)


def _definition(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name not in _PROGRESS}
