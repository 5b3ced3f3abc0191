"""The formulas of post-hoc calibration: division by frequencies, and LogN."""

import numpy as np
import pytest
import torch
from loss_cases import COUNTS

from mmdet_ltnorm.calibration import divide_by_frequency, normalize_logits


def random_logits(columns, rows=20):
    return torch.randn(rows, columns, dtype=torch.float64, generator=torch.manual_seed(1)) * 3


# Division by frequencies


@pytest.mark.parametrize("tau", [0.3, 1.0, 2.5])
def test_division_without_background_is_logit_adjustment(tau):
    logits = random_logits(5)
    prior = COUNTS / COUNTS.sum()
    expected = (logits - tau * prior.double().log()).softmax(1)
    torch.testing.assert_close(divide_by_frequency(logits.softmax(1), COUNTS, tau), expected)


@pytest.mark.parametrize("gamma", [0.3, 0.6, 1.0])
def test_division_with_a_background_is_norcal(gamma):
    logits = random_logits(6)
    expected = np.empty(logits.shape)
    for row, z in zip(expected, logits.numpy(), strict=True):
        exponentials = [np.exp(z[c]) / float(COUNTS[c]) ** gamma for c in range(5)]
        total = sum(exponentials) + np.exp(z[5])
        row[:] = [*(e / total for e in exponentials), np.exp(z[5]) / total]
    found = divide_by_frequency(logits.softmax(1), COUNTS, gamma)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_division_by_hand():
    # 0.4 / 4 and 0.2 / 1 beside a background of 0.4: 1/7, 2/7, 4/7.
    found = divide_by_frequency(torch.tensor([[0.4, 0.2, 0.4]]), torch.tensor([4, 1]), 1.0)
    torch.testing.assert_close(found, torch.tensor([[1, 2, 4]]) / 7)


@pytest.mark.parametrize("columns", [5, 6])
def test_strength_0_changes_no_bit(columns):
    scores = random_logits(columns, 500).float().softmax(1)
    assert torch.equal(divide_by_frequency(scores, COUNTS, 0.0), scores)


def test_equal_counts_change_nothing_without_background_and_help_it_with_one():
    scores = random_logits(6).softmax(1)
    equal = torch.full((5,), 10)
    torch.testing.assert_close(divide_by_frequency(scores[:, :5], equal, 0.6), scores[:, :5])
    divided = divide_by_frequency(scores, equal, 0.6)
    assert (divided[:, 5] > scores[:, 5]).all()
    assert torch.equal(divided[:, :5].argsort(1), scores[:, :5].argsort(1))


def test_rarer_classes_gain_on_more_frequent_ones():
    scores = random_logits(5).softmax(1)
    gain = divide_by_frequency(scores, COUNTS, 0.6) / scores
    assert (gain.diff(dim=1) > 0).all()
    torch.testing.assert_close(divide_by_frequency(scores, COUNTS, 0.6).sum(1), scores.sum(1))


def test_a_class_without_samples_counts_as_with_one_and_nothing_underflows():
    scores = random_logits(5).softmax(1).float()
    none, one = COUNTS.clone(), COUNTS.clone()
    none[4], one[4] = 0, 1
    assert torch.equal(*(divide_by_frequency(scores, counts, 1.0) for counts in (none, one)))
    assert torch.isfinite(divide_by_frequency(scores, COUNTS * 10**6, 10.0)).all()


# LogN


@pytest.mark.parametrize("others", [0, 1, 2])
def test_logn_equals_its_formula_and_leaves_other_columns(others):
    logits = random_logits(5 + others)
    mean = torch.tensor([2.0, 1.0, -0.5, -2.0, -1.0], dtype=torch.float64)
    std = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.25], dtype=torch.float64)
    found = normalize_logits(logits, mean, std)
    for c in range(5):
        expected = (logits[:, c] - mean[c] + mean.min()) / std[c]
        torch.testing.assert_close(found[:, c], expected)
    assert torch.equal(found[:, 5:], logits[:, 5:])


def test_logn_of_equal_means_and_deviations_of_1_changes_nothing():
    logits = random_logits(6).float()
    mean, std = torch.full((5,), -3.7).double(), torch.ones(5).double()
    assert torch.equal(normalize_logits(logits, mean, std), logits)
