"""Checks of a loaded checkpoint: its model, its classes and its training state."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import Tensor
from torch.optim import Optimizer

from mmdet_ltnorm.results.checkpoints import (
    CLASSES,
    CheckpointError,
    check_same_classes,
    check_same_model,
    class_names,
    weights_of,
)


class CheckCheckpointHook(Hook):
    """Refuse a checkpoint of another model or of other classes, and one that cannot be resumed.

    mmengine loads the weights that fit, and lists the others in a line of its log.

    Args:
        may_differ: modules that may differ from those in ``load_from``, because training
            initializes them afresh, as a new classifier, or converts them, as batch norm to NBN. A
            test takes only ``'classes'``, for classes of other names.
    """

    priority = "VERY_HIGH"  # before EMAHook, which exchanges the weights

    def __init__(self, may_differ: Collection[str] = ()) -> None:
        self.may_differ = may_differ

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check the checkpoint before its weights are put into the model."""
        name = str(runner._load_from or runner.work_dir)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        # The loop that is built by now; the runner's properties would build the others.
        loops = (runner._train_loop, runner._test_loop, runner._val_loop)
        loop = next(loop for loop in loops if isinstance(loop, BaseLoop))
        starts = loop is runner._train_loop and not runner._resume
        parts = [part for part in self.may_differ if part != CLASSES] if starts else None
        check_same_model(model.state_dict(), weights_of(checkpoint, name), name, parts)
        if not parts and CLASSES not in self.may_differ:
            there = class_names(checkpoint.get("meta", {}))
            check_same_classes(there, loop.dataloader.dataset, name)
        if runner._resume:
            _check_training_state(checkpoint, name, runner)
            _keep_own_best(checkpoint["message_hub"]["runtime_info"], runner)

    def before_train(self, runner: Runner) -> None:
        """Check the classes of a classifier that a second stage has loaded from its first."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        there = getattr(model, "classes_of_first_stage", None)
        if there and CLASSES not in self.may_differ:
            check_same_classes(there, runner.train_dataloader.dataset, model.first_stage)


def _check_training_state(checkpoint: Mapping[str, Any], name: str, runner: Runner) -> None:
    """Check that a run can continue from a checkpoint as if it had not stopped."""
    needed = ["meta", "message_hub", "optimizer"]
    if runner.param_schedulers:
        needed.append("param_schedulers")
    lacking = [part for part in needed if part not in checkpoint]
    lacking += [f"meta[{k!r}]" for k in ("epoch", "iter") if k not in checkpoint.get("meta", ())]
    if lacking:
        raise CheckpointError(
            f"{name} cannot be resumed: it lacks {', '.join(lacking)}, which training checkpoints "
            "of mmengine have (best_*.pth and exported ones have not). To start from its weights, "
            f"without --resume: --cfg-options load_from={name}"
        )
    optimizer = getattr(runner.optim_wrapper, "optimizer", None)  # an OptimWrapperDict has several
    if optimizer is not None:
        _check_optimizer(checkpoint["optimizer"], optimizer, name)


def _check_optimizer(saved: Mapping[str, Any], optimizer: Optimizer, name: str) -> None:
    own = [p for group in optimizer.param_groups for p in group["params"]]
    keys = [key for group in saved["param_groups"] for key in group["params"]]
    same = len(own) == len(keys) and all(
        value.shape == parameter.shape
        for key, parameter in zip(keys, own, strict=True)
        for value in saved["state"].get(key, {}).values()
        if isinstance(value, Tensor) and value.dim() == parameter.dim()
    )
    if not same:
        raise CheckpointError(
            f"{name} cannot be resumed: its optimizer is for {len(keys)} parameters, this run's "
            f"for {len(own)}, or for some of other shapes: resume with the config that it was "
            "trained with"
        )


def _keep_own_best(info: dict[str, Any], runner: Runner) -> None:
    """Complete the path of the best checkpoint, which mmengine deletes for a better one.

    The name is kept only if the file is where this run would have written it.
    """
    folder = Path(runner.work_dir)
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and hook.out_dir not in (None, runner.work_dir):
            folder = Path(hook.out_dir, folder.name)
    for key in [key for key in info if key.startswith("best_ckpt")]:
        path = folder / info[key]
        if path.is_file():
            info[key] = str(path)
        else:
            del info[key]
