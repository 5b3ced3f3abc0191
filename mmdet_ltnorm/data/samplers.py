"""Samplers that decide how often each class is seen.

They take a data set with `get_labels()`, or wrappers around such data sets. Seed and epoch give one
order for all ranks, of which each rank takes every world_size-th index: the batches of N ranks
together are the batches of one process with an N times larger batch. An epoch has as many images as
the data set.

mmengine's DefaultSampler is instance-balanced. mmdet's ClassAwareSampler is class-aware: it takes
`num_sample_class` images (4 in cRT) of one class after the other.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from mmdet_ltnorm.arguments import checked_flag, checked_integer, checked_number
from mmdet_ltnorm.data.wrapped import labels_of


class WeightedClassSampler(DefaultSampler):
    """Draws each image's class by `class_weights`, and then an image of the class at random."""

    def __init__(self, dataset: Any, seed: int | None = None, round_up: bool = True) -> None:
        labels = labels_of(dataset)
        checked_flag("round_up", round_up)
        _check_seed(seed)
        super().__init__(dataset, shuffle=True, seed=seed, round_up=round_up)
        self.by_class = np.argsort(labels, kind="stable")
        _, self.starts, self.counts = np.unique(
            labels[self.by_class], return_index=True, return_counts=True
        )

    def class_weights(self, counts: np.ndarray) -> np.ndarray:
        """Return the shares of classes with these numbers of images, up to a common factor."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        weights = self.class_weights(self.counts)
        drawn = rng.choice(len(weights), self.total_size, p=weights / weights.sum())
        indices = self.by_class[self.starts[drawn] + rng.integers(self.counts[drawn])]
        return iter(indices[self.rank :: self.world_size].tolist())


@DATA_SAMPLERS.register_module()
class ClassPowerSampler(WeightedClassSampler):
    """p_k ~ n_k^power (Kang et al., ICLR 2020, Eq. 1): 0 is class-balanced, 1/2 square-root."""

    def __init__(self, dataset: Any, power: float, **kwargs: Any) -> None:
        self.power = checked_number("power", power)
        super().__init__(dataset, **kwargs)

    def class_weights(self, counts: np.ndarray) -> np.ndarray:
        """Return n_k^power."""
        return counts.astype(float) ** self.power


@DATA_SAMPLERS.register_module()
class EffectiveNumberSampler(WeightedClassSampler):
    """Each image weighs 1 / E_n, E_n = (1 - beta^n) / (1 - beta) (Cui et al., CVPR 2019, Eq. 2).

    So p_k ~ n_k / E_(n_k): beta = 0 is instance-balanced, beta towards 1 class-balanced.
    """

    def __init__(self, dataset: Any, beta: float = 0.9999, **kwargs: Any) -> None:
        self.beta = checked_number("beta", beta, at_least=0, below=1)
        super().__init__(dataset, **kwargs)

    def class_weights(self, counts: np.ndarray) -> np.ndarray:
        """Return n_k (1 - beta) / (1 - beta^n_k)."""
        return counts * (1 - self.beta) / (1 - self.beta**counts)


@DATA_SAMPLERS.register_module()
class DeferredSampler(Sampler):
    """Use the sampler `first` before epoch `switch_epoch` (counted from 0), and `then` from it on.

    mmengine's DistSamplerSeedHook, one of the default hooks, tells the epoch; a resumed run is
    told the right one.

    Raises:
        ValueError: the two have not the same length.
    """

    def __init__(
        self,
        dataset: Any,
        switch_epoch: int,
        then: dict,
        first: dict | None = None,
        seed: int | None = None,
    ) -> None:
        self.switch_epoch = checked_integer("switch_epoch", switch_epoch, at_least=0)
        _check_seed(seed)
        defaults = dict(dataset=dataset, seed=seed)
        self.samplers = [
            DATA_SAMPLERS.build(cfg, default_args=defaults)
            for cfg in (first or dict(type="DefaultSampler", shuffle=True), then)
        ]
        lengths = [len(sampler) for sampler in self.samplers]
        if lengths[0] != lengths[1]:
            raise ValueError(f"both samplers must have the same length, got {lengths}")
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose the sampler of an epoch and seed it."""
        self.current = self.samplers[epoch >= self.switch_epoch]
        self.current.set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        return iter(self.current)

    def __len__(self) -> int:
        return len(self.current)


def _check_seed(seed: int | None) -> None:
    if seed is not None:  # mmengine's samplers then agree on one
        checked_integer("seed", seed, at_least=0)
