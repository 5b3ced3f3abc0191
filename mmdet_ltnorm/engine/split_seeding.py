"""A hook that starts CBN's components in a detector from groups of classes."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmdet_ltnorm.arguments import checked_integer
from mmdet_ltnorm.data.wrapped import class_counts
from mmdet_ltnorm.norms import shared_num_components, split_by


@HOOKS.register_module()
class SplitSeedingHook(Hook):
    """Split the first iterations' batches by class frequency, so that components start apart.

    An image belongs to the group of the class that most of its instances have. Experimental: CBN's
    paper splits classified images, and says nothing of detection. Batches with an image without
    instances are left whole.

    Args:
        iterations: how many iterations are split, from the first.

    Raises:
        ValueError: the model has no CBN layers.
    """

    def __init__(self, iterations: int) -> None:
        self.iterations = checked_integer("iterations", iterations, at_least=0)
        self._entered: split_by | None = None

    def before_train(self, runner: Runner) -> None:
        """Count the images of each class, and the components."""
        self._image_counts = class_counts(runner.train_dataloader.dataset)
        self._num_groups = shared_num_components(runner.model)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Enter the split."""
        self._leave()  # of an iteration that has failed
        labels = [sample.gt_instances.labels for sample in data_batch["data_samples"]]
        if runner.iter < self.iterations and all(map(len, labels)):
            dominant = torch.stack([each.mode().values for each in labels])
            counts = self._image_counts
            self._entered = split_by(dominant, self._num_groups, "frequency", class_counts=counts)
            # The batch is still on the host; the layers should not copy this, each for itself.
            device = next(runner.model.parameters()).device
            self._entered.groups = self._entered.groups.to(device, non_blocking=True)
            self._entered.__enter__()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Leave the split."""
        self._leave()

    def _leave(self) -> None:
        if self._entered is not None:
            self._entered.__exit__()
            self._entered = None
