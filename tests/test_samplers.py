"""How often each sampler shows each class, and what several ranks see together."""

from collections import Counter

import numpy as np
import pytest
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Dataset

import mmdet_ltnorm  # noqa: F401

COUNTS = [500, 120, 40, 0, 8, 1]


class Labels(Dataset):
    def __init__(self, counts=COUNTS):
        self.metainfo = {"classes": tuple(range(len(counts)))}
        labels = np.repeat(np.arange(len(counts)), counts)
        self.labels = np.random.default_rng(0).permutation(labels)

    def get_labels(self):
        return self.labels

    def get_cat_ids(self, index):
        return [self.labels[index]]

    def __len__(self):
        return len(self.labels)


def sampler_of(type_, dataset=None, epoch=0, **options):
    sampler = DATA_SAMPLERS.build(dict(type=type_, dataset=dataset or Labels(), seed=0, **options))
    sampler.set_epoch(epoch)
    return sampler


def frequencies(type_, epochs=200, **options):
    dataset = Labels()
    sampler = sampler_of(type_, dataset, **options)
    shown = np.zeros(len(COUNTS))
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        shown += np.bincount(dataset.labels[list(sampler)], minlength=len(COUNTS))
    return shown / shown.sum()


def shares(weights):
    return np.array(weights) / np.sum(weights)


@pytest.mark.parametrize(
    ("type_", "options", "expected"),
    [
        ("DefaultSampler", {}, shares(COUNTS)),
        ("ClassPowerSampler", dict(power=1), shares(COUNTS)),
        ("ClassPowerSampler", dict(power=0), shares([1, 1, 1, 0, 1, 1])),
        ("ClassPowerSampler", dict(power=0.5), shares(np.sqrt(COUNTS))),
        ("EffectiveNumberSampler", dict(beta=0.0), shares(COUNTS)),
        # For beta = 1/2, E_n = 2 (1 - 2^-n): 2 for the large classes, 1.992 for 8, 1 for 1 image.
        ("EffectiveNumberSampler", dict(beta=0.5), shares([250, 60, 20, 0, 8 / 1.9921875, 1])),
        ("mmdet.ClassAwareSampler", dict(num_sample_class=4), shares([1, 1, 1, 0, 1, 1])),
    ],
)
def test_classes_appear_as_often_as_the_formula_says(type_, options, expected):
    shown = frequencies(type_, **options)
    drawn = 200 * sum(COUNTS)
    assert (shown[expected == 0] == 0).all()
    assert np.abs(shown - expected).max() < 5 * np.sqrt(0.25 / drawn)


@pytest.mark.parametrize("type_", ["ClassPowerSampler", "EffectiveNumberSampler"])
def test_the_images_of_a_class_are_drawn_alike(type_):
    options = dict(power=0) if type_ == "ClassPowerSampler" else {}
    dataset = Labels()
    sampler = sampler_of(type_, dataset, **options)
    shown = Counter()
    for epoch in range(300):
        sampler.set_epoch(epoch)
        shown.update(sampler)
    for label, count in enumerate(COUNTS):
        members = np.flatnonzero(dataset.labels == label)
        numbers = np.array([shown[i] for i in members])
        if count > 1:
            assert np.abs(numbers - numbers.mean()).max() < 5 * numbers.mean() ** 0.5
    assert set(shown) == set(range(len(dataset)))


def test_class_aware_sampling_takes_k_images_of_one_class_after_the_other():
    dataset = Labels([30, 9, 4])
    indices = list(sampler_of("mmdet.ClassAwareSampler", dataset, num_sample_class=4))
    groups = [indices[i : i + 4] for i in range(0, 40, 4)]
    labels = [set(dataset.labels[group]) for group in groups]
    assert len(indices) == len(dataset) and all(len(found) == 1 for found in labels)
    for start in range(0, 9, 3):  # every class in every round
        assert set.union(*labels[start : start + 3]) == {0, 1, 2}
    head = [i for i in indices if dataset.labels[i] == 0]
    assert len(set(head)) == len(head)  # none twice before all of them


SAMPLERS = [
    ("ClassPowerSampler", dict(power=0.5)),
    ("EffectiveNumberSampler", {}),
    ("DeferredSampler", dict(switch_epoch=1, then=dict(type="ClassPowerSampler", power=0))),
]


def on_ranks(monkeypatch, world_size, type_, dataset, epoch=0, **options):
    orders = []
    for rank in range(world_size):
        for module in "mmengine.dataset.sampler", "mmdet.datasets.samplers.class_aware_sampler":
            monkeypatch.setattr(f"{module}.get_dist_info", lambda r=rank: (r, world_size))
        sampler = sampler_of(type_, dataset, epoch, **options)
        orders.append(list(sampler))
        assert len(orders[-1]) == len(sampler)
    return orders


@pytest.mark.parametrize(("type_", "options"), SAMPLERS)
@pytest.mark.parametrize("epoch", [0, 1])
def test_the_ranks_together_see_what_one_process_sees(monkeypatch, type_, options, epoch):
    dataset = Labels([60, 20, 4])
    (alone,) = on_ranks(monkeypatch, 1, type_, dataset, epoch, **options)
    ranks = on_ranks(monkeypatch, 4, type_, dataset, epoch, **options)
    assert np.stack(ranks, axis=1).ravel().tolist() == alone


def test_the_ranks_of_class_aware_sampling_see_parts_of_one_order(monkeypatch):
    dataset, cfg = Labels([60, 20, 4]), dict(type_="mmdet.ClassAwareSampler", num_sample_class=4)
    (alone,) = on_ranks(monkeypatch, 1, dataset=dataset, **cfg)
    assert np.concatenate(on_ranks(monkeypatch, 4, dataset=dataset, **cfg)).tolist() == alone


def test_ranks_get_equally_many_images_unless_told_otherwise(monkeypatch):
    cfg = dict(type_="ClassPowerSampler", dataset=Labels([60, 20, 5]), power=0)
    assert [len(order) for order in on_ranks(monkeypatch, 4, **cfg)] == [22] * 4
    ranks = on_ranks(monkeypatch, 4, **cfg, round_up=False)
    assert [len(order) for order in ranks] == [22, 21, 21, 21]


@pytest.mark.parametrize(("type_", "options"), SAMPLERS)
def test_an_epoch_has_the_data_sets_length_and_its_own_seeded_order(type_, options):
    orders = [list(sampler_of(type_, epoch=epoch, **options)) for epoch in (0, 1, 1)]
    assert all(len(order) == sum(COUNTS) for order in orders)
    assert orders[0] != orders[1] and orders[1] == orders[2]


def test_another_seed_gives_another_order():
    cfg = dict(type="ClassPowerSampler", dataset=Labels(), power=0)
    orders = [list(DATA_SAMPLERS.build(dict(cfg, seed=seed))) for seed in (0, 1)]
    assert orders[0] != orders[1]


def test_a_deferred_sampler_switches_at_its_epoch():
    dataset = Labels()
    then = dict(type="mmdet.ClassAwareSampler", num_sample_class=4)
    sampler = sampler_of("DeferredSampler", dataset, switch_epoch=3, then=then)
    few = []
    for epoch in range(5):
        sampler.set_epoch(epoch)
        few.append(Counter(dataset.labels[list(sampler)].tolist())[5])
    assert few[:3] == [1, 1, 1] and min(few[3:]) > 100
    sampler.set_epoch(0)
    assert list(sampler) == list(sampler_of("DefaultSampler", dataset))


def test_a_run_tells_the_deferred_sampler_its_epoch(tmp_path):
    from toy_runner import ToyData, toy_runner

    class Data(ToyData):
        seen = []

        def get_labels(self):
            return np.array([0] * 7 + [1])

        def __getitem__(self, index):
            self.seen.append(index)
            return super().__getitem__(index)

    then = dict(type="ClassPowerSampler", power=0)
    deferred = dict(type="DeferredSampler", switch_epoch=1, then=then)
    loader = dict(batch_size=2, dataset=Data(), sampler=deferred)
    toy_runner(tmp_path, train_dataloader=loader, val_dataloader=None, val_cfg=None,
               val_evaluator=None, default_hooks=dict(checkpoint=None)).train()  # fmt: skip
    assert sorted(Data.seen[:8]) == list(range(8))
    assert len(Data.seen) == 16 and Counter(Data.seen[8:])[7] > 1


@pytest.mark.parametrize(
    ("cfg", "error", "message"),
    [
        (
            dict(type="ClassPowerSampler", dataset=[1], power=0),
            TypeError,
            r"get_labels\(\), got list",
        ),
        (dict(type="EffectiveNumberSampler", dataset=Labels(), beta=1.0), ValueError, "got 1.0"),
    ],
)
def test_what_cannot_be_sampled_is_refused(cfg, error, message):
    with pytest.raises(error, match=message):
        DATA_SAMPLERS.build(dict(seed=0, **cfg))


def test_deferred_samplers_must_agree_in_length(monkeypatch):
    monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda: (1, 4))
    then = dict(type="ClassPowerSampler", power=0, round_up=False)
    with pytest.raises(ValueError, match=r"same length, got \[2, 1\]"):
        sampler_of("DeferredSampler", Labels([3, 2]), switch_epoch=1, then=then)
