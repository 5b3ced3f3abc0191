"""The output of a run in a terminal: a short log, and the progress."""

import logging
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmdet_ltnorm.last_line import LastLine

# Pages that the log file has in full, and what the host warns of and a user cannot change.
_IN_THE_FILE = (
    *("Config:\n", "Exp name: ", "Hooks will be executed", f"\n{60 * '-'}\nSystem environment"),
    *('"FileClient" will be', '"HardDiskBackend" is', "Distributed training is not used, all Sync"),
)
# The batch's accuracy is a mean over the window as the loss is; validations' scores are not.
MEANS = r".*(loss|time|data_time|grad_norm).*|^(train/)?(\w+\.)?(accuracy|acc)$"
_SILENCE = 60  # seconds without a line in the log, after which one tells how far the run is
_WIDTH = 24
_CHECKING = ("before_train", "before_val", "before_test")  # when hooks check
_LOOPS = ("build_train_loop", "build_val_loop", "build_test_loop")


class RefusedRun(ValueError):
    """A run that its config or a hook's check refuses; the message has the reason."""


def _refusing_data(build_loop: Callable) -> Callable:
    """Wrap a method that builds data sets: what this package's refuse is told as refused."""

    def build(runner: Runner, loop: Any) -> Any:
        try:
            return build_loop(runner, loop)
        except ValueError as error:
            *_, (frame, _) = traceback.walk_tb(error.__traceback__)
            if not frame.f_globals.get("__name__", "").startswith("mmdet_ltnorm."):
                raise  # another's data set may have a fault, for which one needs the trace
            raise RefusedRun(str(error)) from error

    return build


def quiet_runner(cfg: Any, **methods: Callable) -> type[Runner]:
    """Return the class of a config's runner, with a short log in the terminal."""
    kind = RUNNERS.get(cfg.get("runner_type", "Runner"))

    def build_logger(runner: Runner, *args: Any, **kwargs: Any) -> logging.Logger:
        logger = kind.build_logger(runner, *args, **kwargs)
        for handler in _terminals(logger):
            handler.addFilter(lambda record: not record.getMessage().startswith(_IN_THE_FILE))
        logger.info(f"config, environment and hooks are in {logger._log_file}")
        return logger

    def call_hook(runner: Runner, fn_name: str, **kwargs: Any) -> None:
        try:
            kind.call_hook(runner, fn_name, **kwargs)
        except ValueError as error:
            if type(error) is not ValueError or fn_name not in _CHECKING:
                raise
            raise RefusedRun(str(error)) from error

    own = {"build_logger": build_logger, "call_hook": call_hook}
    own |= {name: _refusing_data(getattr(kind, name)) for name in _LOOPS} | methods
    return type(kind.__name__, (kind,), own)


class ProgressHook(Hook):
    """Show the progress of a run, and the time that remains.

    In a terminal that is its last line; elsewhere it is a line of the log, but only where nothing
    else has been logged for a minute.
    """

    priority = "LOWEST"  # after what logs a line of its own

    def before_run(self, runner: Runner) -> None:
        """Find the terminal, and watch the lines that are logged to it."""
        self._stages: list[_Stage] = []
        self._last_line = LastLine()
        for handler in _terminals(runner.logger):
            handler.addFilter(self._noticed)

    def before_train(self, runner: Runner) -> None:
        """Begin the stage."""
        self._stages.append(_Stage("training", runner.max_iters, runner.iter))

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin the stage."""
        self._stages.append(_Stage("validation", len(runner.val_dataloader)))

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin the stage."""
        self._stages.append(_Stage("test", len(runner.test_dataloader)))

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = "train",
    ) -> None:
        stage = self._stages[-1]
        stage.done += 1
        if not (is_main_process() and self._last_line.is_due(0.1, _SILENCE)):
            return
        now = time.monotonic()
        if self._last_line.in_terminal:
            self._last_line.draw(stage.bar(now))
        else:
            runner.logger.info(stage.line(now))

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """End the stage; its time does not count as training."""
        took = time.monotonic() - self._end().started
        for stage in self._stages:
            stage.started += took

    def after_test_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """End the stage."""
        self._end()

    def after_train(self, runner: Runner) -> None:
        """End the stage."""
        self._end()

    def _end(self) -> "_Stage":
        self._last_line.give_way()
        return self._stages.pop()

    def _noticed(self, record: logging.LogRecord) -> bool:
        self._last_line.give_way()
        return True


class _Stage:
    """The steps of a stage, those done, those that an earlier process did, and the start time."""

    def __init__(self, name: str, steps: int, earlier: int = 0) -> None:
        self.name, self.steps, self.done, self.earlier = name, steps, earlier, earlier
        self.started = time.monotonic()

    def line(self, now: float) -> str:
        pace = (now - self.started) / (self.done - self.earlier)
        left = pace * (self.steps - self.done)
        return f"{self.name} {self.done}/{self.steps}, {timedelta(seconds=round(left))} left"

    def bar(self, now: float) -> str:
        full = _WIDTH * self.done // max(self.steps, 1)
        return f"[{full * '#'}{(_WIDTH - full) * '.'}] {self.line(now)}"


def _terminals(logger: logging.Logger) -> list[logging.Handler]:
    return [each for each in logger.handlers if not isinstance(each, logging.FileHandler)]
