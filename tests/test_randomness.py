"""A resumed run draws the random numbers of the undisturbed one, whatever loads its batches."""

import random

import numpy as np
import pytest
import torch
from toy_runner import ToyData, ToyModel, end_workers, toy_runner

from mmdet_ltnorm.engine.generators import SeededBatches


class RandomData(ToyData):
    """Adds noise from each of the generators that transforms use."""

    def __getitem__(self, index):
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        return {"inputs": torch.full((4, 3, 3), index + noise), "data_samples": float(index)}


class RandomModel(ToyModel):
    """Drops inputs at random, and keeps what it was given."""

    def __init__(self):
        super().__init__()
        for parameter in self.parameters():
            parameter.data.fill_(0.1)
        self.seen = []

    def forward(self, inputs, data_samples, mode="tensor"):
        inputs = torch.stack(list(inputs))
        if mode == "loss":
            self.seen.append(inputs.sum().item())
            inputs = torch.nn.functional.dropout(inputs) * np.random.rand() * random.random()
        return super().forward(inputs, data_samples, mode)


EPOCHS = dict(by_epoch=True, max_epochs=4)
ITERATIONS = dict(type="IterBasedTrainLoop", max_iters=16, val_interval=4)


def run(work_dir, loop=EPOCHS, workers=0, persistent=False, checkpoint=None, **overrides):
    by_epoch = loop is EPOCHS
    torch.manual_seed(len(work_dir.name))  # another process may have drawn other numbers
    sampler = dict(type="DefaultSampler" if by_epoch else "InfiniteSampler", shuffle=True)
    loader = dict(batch_size=2, dataset=RandomData(), sampler=sampler, num_workers=workers)
    save = dict(type="CheckpointHook", interval=1 if by_epoch else 4, by_epoch=by_epoch)
    runner = toy_runner(
        work_dir,
        RandomModel(),
        train_cfg=loop,
        train_dataloader=dict(loader, persistent_workers=persistent),
        default_hooks=dict(checkpoint=save),
        custom_hooks=[dict(type="RandomnessHook")],
        param_scheduler=None,
        load_from=checkpoint and str(checkpoint),
        resume=checkpoint is not None,
        **overrides,
    )
    runner.train()
    end_workers(runner)
    return runner.model


def equal(one, other):
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


CASES = [
    (EPOCHS, 0, False, "epoch_1.pth"),
    (EPOCHS, 2, False, "epoch_1.pth"),
    (EPOCHS, 2, True, "epoch_2.pth"),
    (ITERATIONS, 0, False, "iter_4.pth"),
    (ITERATIONS, 2, True, "iter_12.pth"),
]


@pytest.mark.parametrize(("loop", "workers", "persistent", "name"), CASES)
def test_a_resumed_run_ends_bit_for_bit_as_the_undisturbed_one(
    loop, workers, persistent, name, tmp_path
):
    whole = run(tmp_path / "whole", loop, workers, persistent)
    rest = run(tmp_path / "rest", loop, workers, persistent, tmp_path / "whole" / name)
    assert rest.seen == whole.seen[-len(rest.seen) :] != []
    assert equal(whole, rest)


def test_the_number_of_workers_changes_nothing(tmp_path):
    none, two = run(tmp_path / "none"), run(tmp_path / "two", workers=2, persistent=True)
    assert none.seen == two.seen
    assert equal(none, two)


@pytest.mark.parametrize("persistent", [False, True])
def test_every_epoch_has_random_numbers_of_its_own(persistent, tmp_path):
    seen = run(tmp_path, workers=2, persistent=persistent).seen
    epochs = [round(sum(seen[start : start + 4]), 6) for start in range(0, 16, 4)]
    assert len(set(epochs)) == 4


def test_loading_a_batch_leaves_the_generators_as_they_were():
    load = SeededBatches(RandomData(), [0, 0], torch.zeros((), dtype=torch.int64))
    torch.manual_seed(3)
    before = random.getstate(), torch.get_rng_state()
    first = load([0, 1])
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert not torch.equal(load([0, 1])[0]["inputs"], first[0]["inputs"])


def test_ranks_load_with_different_random_numbers():
    epoch = torch.zeros((), dtype=torch.int64)
    one, other = (SeededBatches(RandomData(), [0, rank], epoch)([0]) for rank in range(2))
    assert not torch.equal(one[0]["inputs"], other[0]["inputs"])


def test_a_data_set_that_loads_batches_itself_still_does():
    class Batches(RandomData):
        def __getitems__(self, indices):
            return [random.random() for _ in indices]

    load = SeededBatches(Batches(), [0, 0], torch.zeros((), dtype=torch.int64))
    assert all(isinstance(sample, float) for sample in load([0, 1]))
