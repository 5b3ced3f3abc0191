"""An mmengine run of a linear layer that takes a second, for tests of hooks and checkpoints."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmdet_ltnorm.norms import NBN, share_magnitude

_names = itertools.count()


class ToyData(Dataset):
    metainfo = {"classes": ("a", "b"), "palette": [(1, 2, 3), (4, 5, 6)]}

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"inputs": torch.full((4, 3, 3), float(index)), "data_samples": float(index)}


class ToyModel(BaseModel):
    def __init__(self, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.norm = norm or nn.Identity()
        self.linear = nn.Linear(4, 1)

    def forward(self, inputs: Any, data_samples: Any, mode: str = "tensor") -> Any:
        output = self.linear(self.norm(torch.stack(list(inputs))).mean((2, 3)))[:, 0]
        if mode != "loss":
            return [output]
        return {"loss": (output - torch.as_tensor(data_samples).to(output)).pow(2).mean()}


class ToyMetric(BaseMetric):
    default_prefix = "toy"

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(1.0)

    def compute_metrics(self, results: list) -> dict[str, Any]:
        return {"acc": np.float64(0.5)}


def toy_runner(work_dir: Path, model: nn.Module | None = None, **overrides: Any) -> Runner:
    """Build a run of two epochs of four steps with validation; ``overrides`` go to the Runner."""
    loader = dict(batch_size=2, dataset=ToyData(), sampler=dict(type="DefaultSampler"))
    settings: dict[str, Any] = dict(
        model=model or ToyModel(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        val_dataloader=dict(loader),
        val_cfg=dict(),
        val_evaluator=[ToyMetric()],
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01, momentum=0.9)),
        param_scheduler=dict(type="MultiStepLR", milestones=[1]),
        default_hooks=dict(
            checkpoint=dict(type="CheckpointHook", interval=1, save_best="toy/acc", rule="greater"),
            logger=dict(type="LoggerHook", interval=1),
        ),
        randomness=dict(seed=0),
        default_scope="mmdet",  # it outlives the run, and other tests build detectors
        experiment_name=f"toy-{next(_names)}",  # mmengine keeps its singletons by this name
    )
    return Runner(**{**settings, **overrides})


def sharing_model():
    """Return two NBN layers with one magnitude."""
    norms = [NBN(4), NBN(4)]
    share_magnitude(norms)
    return nn.Sequential(*norms)


def end_workers(runner: Runner) -> None:
    """End the workers of a run's training data while their queues are open.

    A loader that the garbage collector ends waits five seconds for each worker.
    """
    runner.train_dataloader._iterator = None
    if hasattr(runner.train_loop, "dataloader_iterator"):
        runner.train_loop.dataloader_iterator._iterator = None
