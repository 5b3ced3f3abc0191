"""Strength of the classifier's input: exact, streamed, and equal however the data is cut up."""

import numpy as np
import pytest
import torch
from analysis_cases import CHANNELS, GROUPS, classifier, loader, reference_features
from hypothesis import given, settings
from hypothesis import strategies as st
from ranks import on_two_ranks
from torch import distributed as dist
from torch import nn

from mmdet_ltnorm.analysis.capture import classifier_layer, labelled_batches
from mmdet_ltnorm.analysis.feature_statistics import (
    FeatureStatistics,
    draw_features,
    feature_statistics,
    features_table,
    variances,
)
from mmdet_ltnorm.moments import Moments


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.integers(0, 1000))
def test_moments_of_parts_add_up_to_those_of_the_whole(sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = 1e4 + torch.randn(sum(sizes), 3, generator=generator, dtype=torch.float64)
    group = torch.randint(2, (sum(sizes),), generator=generator)
    moments = Moments.empty(2, 3)
    for part, own in zip(rows.split(sizes), group.split(sizes), strict=True):
        moments += Moments.of(part, own, 2)
    for index in range(2):
        own = rows[group == index].numpy()
        assert moments.count[index] == len(own)
        if len(own):
            np.testing.assert_allclose(moments.mean[index], own.mean(0), rtol=1e-12)
            np.testing.assert_allclose(moments.std[index], own.std(0), rtol=1e-7, atol=1e-9)
    whole = moments.over_groups()
    if sum(sizes):
        np.testing.assert_allclose(whole.std[0], rows.numpy().std(0), rtol=1e-7, atol=1e-9)


def test_statistics_equal_those_of_all_features_at_once():
    model = classifier()
    features, labels = reference_features(model)
    found = feature_statistics(model, loader(7), GROUPS)
    assert list(found) == ["all", "many", "medium", "few"]
    for name, classes in {"all": range(5), **GROUPS}.items():
        own = features[np.isin(labels, list(classes))].astype(np.float64)
        assert found[name].samples == len(own)
        np.testing.assert_allclose(found[name].mean, own.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[name].std, own.std(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 13, 60])
def test_the_batch_size_does_not_matter(batch_size):
    model = classifier()
    one, other = (feature_statistics(model, loader(size), GROUPS) for size in (30, batch_size))
    for name in one:
        np.testing.assert_allclose(one[name].mean, other[name].mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(one[name].std, other[name].std, rtol=1e-5, atol=1e-6)


class PooledPixels(nn.Module):
    """A classifier that does not import mmdet, whose import takes seconds on each rank."""

    def __init__(self):
        super().__init__()
        self.head = nn.Module()
        self.head.predictor = nn.Linear(3, 5)

    def data_preprocessor(self, data, training):
        return data

    def forward(self, inputs, mode):
        return self.head.predictor(inputs.mean((2, 3)))


def on_a_rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    torch.set_num_threads(1)
    own = loader(6)[:7] if rank == 0 else loader(6)[7:]  # 42 and 18 images
    found = feature_statistics(PooledPixels(), own, GROUPS)
    torch.save(
        {name: tuple(map(torch.as_tensor, s)) for name, s in found.items()}, folder / f"{rank}.pt"
    )
    dist.destroy_process_group()


def test_two_ranks_equal_one_process(tmp_path):
    on_two_ranks(on_a_rank, tmp_path)
    alone = feature_statistics(PooledPixels(), loader(6), GROUPS)
    for rank in range(2):
        together = torch.load(tmp_path / f"{rank}.pt")
        for name, statistics in alone.items():
            for ours, theirs in zip(together[name], statistics, strict=True):
                torch.testing.assert_close(ours, torch.as_tensor(theirs), rtol=1e-12, atol=1e-12)


def test_variances_over_channels_are_those_of_the_equations():
    # mean 1, 2, 6: mean 3, (4 + 1 + 9) / 2 = 7; std 1, 1, 4: mean 2, (1 + 1 + 4) / 2 = 3;
    # variances 1, 1, 16: mean 6, (25 + 25 + 100) / 2 = 75.
    found = variances(FeatureStatistics(9, np.array([1.0, 2, 6]), np.array([1.0, 1, 4])))
    assert found == pytest.approx(
        {"var_mu": 7, "var_sigma": 3, "var_sigma2": 75, "cv_mu": 7**0.5 / 3, "cv_sigma": 3**0.5 / 2}
    )


def test_a_group_without_samples_is_neither_listed_nor_drawn(tmp_path):
    groups = {**GROUPS, "none": np.array([], np.int64)}
    statistics = feature_statistics(classifier(), loader(30), groups)
    assert statistics["none"].samples == 0 and np.isnan(statistics["none"].mean).all()
    found = {"model": [statistics]}
    assert [row[0] for row in features_table(found).rows][-1] == f"model, {list(GROUPS)[-1]}"
    draw_features(found, tmp_path / "features.png")
    assert (tmp_path / "features.png").read_bytes().startswith(b"\x89PNG")


def test_the_analysis_leaves_the_model_as_it_was():
    model = classifier().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batch = next(labelled_batches(model, loader(30)))
    assert batch.features.shape == (30, CHANNELS) and not batch.features.requires_grad
    list(labelled_batches(model, loader(30)))
    assert model.training and not classifier_layer(model)._forward_pre_hooks
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_model_without_a_known_classifier_is_refused_with_what_it_has():
    with pytest.raises(ValueError, match=r"Sequential has no head\.predictor or .* it has 0, 1"):
        classifier_layer(nn.Sequential(nn.Linear(1, 1), nn.ReLU()))
