"""LogN: statistics of the logits over the training set, and the hook that normalizes by them."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn
from tqdm import tqdm

from mmdet_ltnorm.calibration.hooks import CLASSIFIER, DETECTOR, PostHocHook
from mmdet_ltnorm.calibration.stand_ins import LogitNormalized
from mmdet_ltnorm.data.wrapped import dataset_configs
from mmdet_ltnorm.moments import Moments

# ``round_up`` would repeat samples, so that all ranks have equally many.
_IN_ORDER = dict(sampler=dict(type="DefaultSampler", shuffle=False, round_up=False))


@HOOKS.register_module()
class LogNHook(PostHocHook):
    """LogN of a classifier or a two-stage detector, after one pass over the training images.

    A classifier sees each training image once, prepared like a test image. A detector sees what it
    is trained with: augmented images, and as many proposals with and without objects as its sampler
    draws, from the run's seed. Test proposals are nearly all background and would give other
    statistics.
    """

    layers = (CLASSIFIER, DETECTOR)

    def calibrate(self, runner: Runner, head: nn.Module) -> tuple[str, nn.Module]:
        """Measure the logits, and put their normalization between logits and scores."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.eval()
        if hasattr(head, CLASSIFIER):
            loader, measure = classifier_loader(runner.cfg), classifier_moments
        else:
            loader, measure = detector_loader(runner.cfg), detector_moments
        batches = Runner.build_dataloader(loader, seed=runner.seed)
        moments = measure(model, head, _with_progress_bar(batches)).over_ranks()
        (mean,), (std,) = moments.mean, moments.std
        if not (std > 0).all():
            constant = int((std > 0).logical_not().nonzero()[0])
            raise ValueError(
                f"the logit of class {constant} is the same for all of the training set, so that "
                "LogN has nothing to divide by: is this a trained model?"
            )
        return "loss_cls", LogitNormalized(head.loss_cls, mean, std)


def classifier_loader(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a loader of each training image once, prepared as for tests."""
    loader = deepcopy(dict(cfg["test_dataloader"]))
    pipeline = next(dataset_configs(loader["dataset"]))["pipeline"]
    loader["dataset"] = _training(cfg)["dataset"]
    for part in dataset_configs(loader["dataset"]):
        part["pipeline"] = pipeline
    return loader | _IN_ORDER


def detector_loader(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of the training loader, but in order."""
    return _training(cfg) | _IN_ORDER


def _training(cfg: Mapping[str, Any]) -> dict[str, Any]:
    if not cfg.get("train_dataloader"):
        raise ValueError("LogN needs the training set: this config has no train_dataloader")
    return deepcopy(dict(cfg["train_dataloader"]))


@torch.no_grad()
def classifier_moments(model: nn.Module, head: nn.Module, batches: Iterable[Any]) -> Moments:
    """Return the moments of a classifier's logits over batches of images."""
    moments = _no_moments(head)
    for batch in batches:
        moments += Moments.of(model(**model.data_preprocessor(batch, False), mode="tensor"))
    return moments


@torch.no_grad()
def detector_moments(model: nn.Module, head: nn.Module, batches: Iterable[Any]) -> Moments:
    """Return the moments of the classes' logits over the proposals that training would sample."""
    watch = _Watch(_no_moments(head))
    loss, head.loss_cls = head.loss_cls, watch
    try:
        for batch in batches:
            model(**model.data_preprocessor(batch, False), mode="loss")
    finally:
        head.loss_cls = loss
    return watch.moments


def _no_moments(head: nn.Module) -> Moments:
    return Moments.empty(1, head.num_classes, next(head.parameters()).device)


class _Watch(nn.Module):
    """A loss that only records the logits; the real loss may count samples."""

    custom_activation = True

    def __init__(self, moments: Moments) -> None:
        super().__init__()
        self.moments = moments

    def forward(self, cls_score: Tensor, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        self.moments += Moments.of(cls_score[:, : self.moments.mean.shape[1]])
        return {}

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {}


def _with_progress_bar(loader: Iterable[Any]) -> Iterable[Any]:
    disable = None if is_main_process() else True  # None: shown in a terminal alone
    return tqdm(loader, desc="LogN: logits of the training set", leave=False, disable=disable)
