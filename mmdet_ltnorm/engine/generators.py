"""Random numbers that are the same in a resumed run as in an undisturbed one."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch.utils.data import get_worker_info

_STEP, _EPOCH, _BATCH = range(3)  # what numbers are drawn for


@HOOKS.register_module()
class RandomnessHook(Hook):
    """Make the random numbers of a step depend only on the seed and the step's number.

    mmengine's generators depend on earlier draws, which a resumed run has not made; and workers
    that are started anew for each epoch begin every epoch with the same numbers. Here
    Python's, NumPy's and torch's generators start anew before each training step, and for each
    batch that is loaded. So a run draws the same with any number of workers, and after a resume
    from any checkpoint at the end of an epoch, or at any iteration of a run that counts those.
    (A run by iterations starts its workers before any hook. They draw as mmengine seeds them: the
    same after a resume, which loads all earlier batches again, but not with more workers.)
    """

    def before_train(self, runner: Runner) -> None:
        """Seed the loading of batches."""
        dataset = runner.train_dataloader.dataset
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        # torch calls this, where there is one, for the samples of a batch.
        dataset.__getitems__ = SeededBatches(dataset, [runner.seed, get_rank()], self._epoch)

    def before_train_epoch(self, runner: Runner) -> None:
        """Pass the epoch to the workers."""
        self._epoch.fill_(runner.epoch)
        _seed(_EPOCH, runner.seed, runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the generators of the model."""
        _seed(_STEP, runner.seed, runner.iter)


class SeededBatches:
    """Load the samples of each batch with generators that are seeded by the batch's number.

    Args:
        dataset: indexed for each sample, unless it loads batches itself.
        key: numbers that the seeds depend on besides the epoch and the batch.
        epoch: a tensor in shared memory, so that workers that outlive an epoch see it change.
    """

    def __init__(self, dataset: Any, key: Sequence[int], epoch: torch.Tensor) -> None:
        self._load = getattr(dataset, "__getitems__", None)
        self._dataset = dataset
        self._key = key
        self._epoch = epoch
        self._counted_epoch: int | None = None

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        """Load the samples of the next batch."""
        epoch = int(self._epoch)
        if epoch != self._counted_epoch:
            self._counted_epoch, self._loaded = epoch, 0
        # torch hands the batches to the workers in turn.
        worker = get_worker_info()
        batch = self._loaded if worker is None else self._loaded * worker.num_workers + worker.id
        self._loaded += 1
        with _kept_generators():
            _seed(_BATCH, *self._key, epoch, batch)
            if self._load is not None:
                return self._load(indices)
            return [self._dataset[index] for index in indices]


def _seed(*numbers: int) -> None:
    words = np.random.SeedSequence(numbers).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    torch.manual_seed(int(words[2]))


@contextmanager
def _kept_generators() -> Iterator[None]:
    """Restore the host's generators at the end of the block."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
