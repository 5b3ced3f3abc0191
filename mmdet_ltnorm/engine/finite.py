"""A hook that stops a run with a loss or weights that are not finite, before it saves them."""

import logging
import math
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_ltnorm.engine.resume import latest_complete_checkpoint
from mmdet_ltnorm.norms import CBN

_SKIPPED_STEPS = 50  # in a row, by mixed precision's loss scaling


@HOOKS.register_module()
class FiniteHook(Hook):
    """Stop when the loss is not finite, and before weights that are not finite are saved.

    It names the first batch norm, NBN or CBN layer that got such numbers. A CBN layer whose batch
    had some while the loss was finite is warned of when weights are looked at.

    The loss is looked at after each step, where mmengine has its value already. In mixed precision
    a step with such a loss is skipped, and the scale of the loss lowered: there the run stops
    after many of them.

    Raises:
        FloatingPointError: with the iteration, the parts of the loss and the last good checkpoint.
    """

    def __init__(self) -> None:
        self._skipped = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Check the loss, and the weights if they are about to be saved."""
        history = runner.message_hub.log_scalars
        losses = {key: history[f"train/{key}"].current() for key in outputs or {}}
        if math.isfinite(losses.get("loss", 0)):
            self._skipped = 0
        else:
            self._refuse_loss(runner, losses)
        if any(_saves_by_iteration(hook, runner) for hook in runner.hooks):
            self._check_weights(runner, runner.iter + 1)

    def after_train_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Check the weights."""
        self._check_weights(runner, runner.iter)

    def before_val(self, runner: Runner) -> None:
        """Check the weights of a run that trains."""
        if runner.message_hub.get_info("max_iters") is not None:
            self._check_weights(runner, runner.iter)

    def _refuse_loss(self, runner: Runner, losses: dict[str, float]) -> None:
        parts = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
        found = f"the loss of iteration {runner.iter + 1} is not finite ({parts})"
        norms = norms_not_finite(runner.model)
        if norms:
            found += f"; of the norms, {norms[0]} was the first to get NaN or infinity"
        if isinstance(runner.optim_wrapper, AmpOptimWrapper):
            self._skipped += 1
            if self._skipped < _SKIPPED_STEPS:
                message = f"{found}: this step is skipped"
                print_log(message, logger="current", level=logging.WARNING)
                return
            found += f", nor was it in the {_SKIPPED_STEPS - 1} iterations before"
        raise FloatingPointError(f"{found}. {_remedy(runner)}")

    def _check_weights(self, runner: Runner, iteration: int) -> None:
        names = list(not_finite(runner.model))
        if names:
            raise FloatingPointError(
                f"after iteration {iteration}, {len(names)} weights and statistics are not finite: "
                f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}. {_remedy(runner)}"
            )
        norms = norms_not_finite(runner.model)
        if norms:
            message = (
                f"{norms[0]} got NaN or infinity by iteration {iteration}, the first of "
                f"{len(norms)} CBN layers; their stored statistics have left such batches out"
            )
            print_log(message, logger="current", level=logging.WARNING)
            for layer in runner.model.modules():
                if isinstance(layer, CBN):
                    layer.not_finite.zero_()


def not_finite(model: nn.Module) -> Iterator[str]:
    """Yield the names of parameters that are not finite and of buffers with NaN."""
    named = [(name, parameter.isfinite()) for name, parameter in model.named_parameters()]
    named += [(name, ~buffer.isnan()) for name, buffer in model.named_buffers()]
    if named:  # one answer of the device for all
        good = torch.stack([each.all() for _, each in named]).tolist()
        yield from (
            name.removeprefix("module.")
            for (name, _), fine in zip(named, good, strict=True)
            if not fine
        )


def norms_not_finite(model: nn.Module) -> list[str]:
    """Return the names of norm layers that got values that are not finite, in order.

    Those of batch norm stay in its statistics; CBN leaves them out, and remembers that there were.
    """
    met = {
        name: layer.not_finite if isinstance(layer, CBN) else ~layer.running_mean.isfinite().all()
        for name, layer in model.named_modules()
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None
    }
    flags = torch.stack([flag.bool() for flag in met.values()]).tolist() if met else []
    return [n.removeprefix("module.") for n, flag in zip(met, flags, strict=True) if flag]


def _saves_by_iteration(hook: Hook, runner: Runner) -> bool:
    if not isinstance(hook, CheckpointHook) or hook.by_epoch:
        return False
    due = hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
    return due or (hook.save_last and hook.is_last_train_iter(runner))


def _remedy(runner: Runner) -> str:
    # All checkpoints of this run are good: the weights were checked before each was saved.
    good = latest_complete_checkpoint(runner.work_dir)
    return (
        f"{f'The last good checkpoint is {good}' if good else 'No checkpoint is saved'}. Lower the "
        "learning rate, warm up longer, or clip gradients: optim_wrapper.clip_grad"
    )
