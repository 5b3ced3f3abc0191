"""A hook that writes a report of one rank of a distributed run; ``custom_imports`` loads it."""

import os
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmdet_ltnorm.engine.checks import magnitudes


@HOOKS.register_module()
class RankRecorder(Hook):
    """Record losses, lr, g and its momentum at every step, and the parameters at the end."""

    priority = "VERY_LOW"

    def before_train(self, runner: Runner) -> None:
        [(self.name, self.magnitude)] = magnitudes(runner.model)
        self.steps: list[dict[str, Any]] = []
        self.start = self.magnitude.item()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self.lr = runner.optim_wrapper.get_lr()["lr"][0]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        momentum = runner.optim_wrapper.optimizer.state[self.magnitude]["momentum_buffer"].item()
        step = {"lr": self.lr, "magnitude": self.magnitude.item(), "momentum": momentum}
        self.steps.append({**step, "loss": float(outputs["loss"])})

    def after_train(self, runner: Runner) -> None:
        groups = runner.optim_wrapper.optimizer.param_groups
        entries = sum(p is self.magnitude for group in groups for p in group["params"])
        parameters = {name: p.detach() for name, p in runner.model.named_parameters()}
        report = {"start": self.start, "steps": self.steps, "entries": entries}
        path = os.path.join(runner.work_dir, f"rank_{get_rank()}.pt")
        torch.save({**report, "parameters": parameters}, path)
