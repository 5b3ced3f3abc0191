"""The losses against float64 references and worked numbers."""

import math

import numpy as np
import pytest
import torch
from loss_cases import COUNTS, batch
from torch.nn import functional as F

from mmdet_ltnorm.losses import (
    ClassBalancedLoss,
    balanced_softmax_loss,
    effective_number_weights,
    ldam_loss,
    softmax_focal_loss,
)


def focal_reference(z, y, gamma):
    p = np.exp(z) / np.exp(z).sum()
    return -((1 - p[y]) ** gamma) * np.log(p[y])


def balanced_reference(z, y, counts, tau):
    factor = counts**tau / np.mean(counts**tau)
    factor = np.append(factor, np.ones(len(z) - len(counts)))
    return -np.log(factor[y] * np.exp(z[y]) / (factor * np.exp(z)).sum())


def ldam_reference(z, y, counts, max_margin, scale):
    margin = counts ** (-1 / 4)
    margin = margin * (max_margin / margin.max())
    own = np.exp(scale * (z[y] - margin[y]))
    others = sum(np.exp(scale * z[j]) for j in range(len(z)) if j != y)
    return -np.log(own / (own + others))


CASES = {
    **{
        f"focal {gamma}": (
            5,
            lambda z, y, gamma=gamma: softmax_focal_loss(z, y, gamma),
            lambda z, y, gamma=gamma: focal_reference(z, y, gamma),
        )
        for gamma in (0.0, 0.5, 2.0)
    },
    **{
        f"balanced {tau} with {columns} columns": (
            columns,
            lambda z, y, tau=tau: balanced_softmax_loss(z, y, COUNTS, tau),
            lambda z, y, tau=tau: balanced_reference(z, y, COUNTS.double().numpy(), tau),
        )
        for tau in (1.0, 0.6)
        for columns in (5, 6)
    },
    **{
        f"LDAM {scale}": (
            5,
            lambda z, y, scale=scale: ldam_loss(z, y, COUNTS, 0.5, scale),
            lambda z, y, scale=scale: ldam_reference(z, y, COUNTS.double().numpy(), 0.5, scale),
        )
        for scale in (1.0, 30.0)
    },
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradient_equal_a_float64_reference(case, seed):
    columns, loss, reference = CASES[case]
    draw = np.random.default_rng(seed)
    z = draw.uniform(-1, 1, (8, columns))
    y = draw.integers(0, columns, 8)
    logits = torch.tensor(z, requires_grad=True)
    losses = loss(logits, torch.tensor(y))
    expected = [reference(row, label) for row, label in zip(z, y, strict=True)]
    np.testing.assert_allclose(losses.detach(), expected, rtol=1e-12, atol=1e-14)

    losses.sum().backward()
    step = 1e-6
    slope = np.empty_like(z)
    for i, j in np.ndindex(z.shape):
        up, down = z[i].copy(), z[i].copy()
        up[j] += step
        down[j] -= step
        slope[i, j] = (reference(up, y[i]) - reference(down, y[i])) / (2 * step)
    np.testing.assert_allclose(logits.grad, slope, rtol=1e-6, atol=1e-7)


def one(loss, logits, label, *args):
    return loss(torch.tensor([logits]), torch.tensor([label]), *args).item()


def test_focal_worked_by_hand():
    # Two equal logits: p = 1/2, so (1 - 1/2)^2 * ln 2 = 0.25 * 0.6931 = 0.1733.
    assert one(softmax_focal_loss, [0.0, 0.0], 1, 2.0) == pytest.approx(0.1733, abs=1e-4)
    # z = (ln 3, 0), label 0: p = 3/4, so 1/4 * ln(4/3) = 0.0719 for gamma = 1.
    assert one(softmax_focal_loss, [math.log(3), 0.0], 0, 1.0) == pytest.approx(0.0719, abs=1e-4)


def test_balanced_softmax_worked_by_hand():
    # Counts 8 and 2, equal logits: the rare class has 2 / (8 + 2) = 1/5.
    assert one(balanced_softmax_loss, [0.0, 0.0], 1, torch.tensor([8, 2])) == pytest.approx(
        math.log(5)
    )
    # Counts 9 and 1 with tau = 1/2: 1 / (3 + 1).
    counts = torch.tensor([9, 1])
    assert one(balanced_softmax_loss, [0.0, 0.0], 1, counts, 0.5) == pytest.approx(math.log(4))
    # Counts 3 and 1, background last: factors 1.5, 0.5 and 1, so 1/3 for the background, 1/6 for
    # the rare class.
    counts = torch.tensor([3, 1])
    assert one(balanced_softmax_loss, [0.0] * 3, 2, counts) == pytest.approx(math.log(3))
    assert one(balanced_softmax_loss, [0.0] * 3, 1, counts) == pytest.approx(math.log(6))


def test_ldam_worked_by_hand():
    # Counts 16 and 1: margins 16^(-1/4) / 1 * 0.5 = 0.25, and 0.5. A sample that is just its margin
    # ahead has two equal logits.
    counts = torch.tensor([16, 1])
    assert one(ldam_loss, [0.25, 0.0], 0, counts) == pytest.approx(math.log(2))
    assert one(ldam_loss, [0.0, 0.5], 1, counts) == pytest.approx(math.log(2))
    # 0.1 further ahead: 30 * 0.1 = 3, ln(1 + e^-3) = 0.0486.
    assert one(ldam_loss, [0.35, 0.0], 0, counts) == pytest.approx(0.0486, abs=1e-4)


def test_effective_number_weights_worked_by_hand():
    # beta = 1/2, counts 1 and 2: effective numbers 1 and 1.5, inverse 1 and 2/3, scaled to sum 2.
    weights = effective_number_weights(torch.tensor([1, 2]), 0.5)
    torch.testing.assert_close(weights, torch.tensor([1.2, 0.8]))
    assert torch.equal(effective_number_weights(COUNTS, 0.0), torch.ones(5))
    inverse = 1 / COUNTS.double()
    nearly = effective_number_weights(COUNTS, 1 - 1e-9, torch.float64)
    torch.testing.assert_close(nearly, inverse / inverse.mean(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("beta", [0.9, 0.9999])
def test_effective_number_weights_equal_the_formula(beta):
    expected = (1 - beta) / (1 - beta ** COUNTS.double().numpy())
    expected *= 5 / expected.sum()
    np.testing.assert_allclose(effective_number_weights(COUNTS, beta), expected, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 1.5])
def test_class_balanced_loss_is_the_weighted_mean_of_the_inner_loss(gamma):
    logits, labels = batch()
    logits.requires_grad_()
    loss = ClassBalancedLoss(dict(type="SoftmaxFocalLoss", gamma=gamma), num_classes=5)
    loss.set_class_counts(COUNTS)
    z, y = logits.detach().double().numpy(), labels.numpy()
    weight = (1 - 0.9999) / (1 - 0.9999 ** COUNTS.double().numpy()[y])
    single = np.array([focal_reference(row, label, gamma) for row, label in zip(z, y, strict=True)])
    value = loss(logits, labels)
    assert value.item() == pytest.approx((weight * single).sum() / weight.sum(), rel=1e-5)
    value.backward()
    terms = torch.tensor(weight / weight.sum()) * softmax_focal_loss(
        x := logits.detach().double().requires_grad_(), labels, gamma
    )
    terms.sum().backward()
    torch.testing.assert_close(logits.grad.double(), x.grad, rtol=1e-4, atol=1e-7)


def test_ldam_drw_is_the_papers_code_before_and_after_the_switch():
    cosines, labels = batch()
    loss = ClassBalancedLoss(dict(type="LDAMLoss", num_classes=5), num_classes=5, defer_until=160)
    for module in (loss, loss.loss):
        module.set_class_counts(COUNTS)
    margins = 0.5 * COUNTS.float().pow(-0.25) / COUNTS.float().pow(-0.25).max()
    logits = 30 * (cosines - margins * F.one_hot(labels, 5))
    loss.set_epoch(159, 200)
    torch.testing.assert_close(loss(cosines, labels), F.cross_entropy(logits, labels))
    loss.set_epoch(160, 200)
    weights = effective_number_weights(COUNTS, 0.9999)
    torch.testing.assert_close(
        loss(cosines, labels), F.cross_entropy(logits, labels, weight=weights)
    )


@pytest.mark.parametrize("tau", [1.0, 0.5])
def test_balanced_softmax_leaves_the_odds_of_the_background_to_the_logits(tau):
    equal = torch.tensor([[0.3] * 5 + [1.1]], dtype=torch.float64)
    background = torch.tensor([5])
    torch.testing.assert_close(
        balanced_softmax_loss(equal, background, COUNTS, tau),
        F.cross_entropy(equal, background, reduction="none"),
    )
    logits, labels = batch(columns=6)
    torch.testing.assert_close(
        balanced_softmax_loss(logits, labels, torch.full((5,), 40), tau),
        F.cross_entropy(logits, labels, reduction="none"),
    )


def test_balanced_softmax_takes_counts_or_anything_in_proportion_to_them():
    logits, labels = batch()
    expected = F.cross_entropy(logits + (COUNTS / COUNTS.sum()).log(), labels, reduction="none")
    for counts in (COUNTS, 1000 * COUNTS):
        torch.testing.assert_close(balanced_softmax_loss(logits, labels, counts), expected)


def test_a_class_without_samples_counts_as_one_with_a_single_sample():
    absent, single = torch.tensor([500, 20, 0]), torch.tensor([500, 20, 1])
    logits, labels = batch(columns=3)
    for loss in (balanced_softmax_loss, ldam_loss):
        assert torch.equal(loss(logits, labels, absent), loss(logits, labels, single))
        assert torch.isfinite(loss(logits, labels, absent)).all()
    assert torch.equal(effective_number_weights(absent), effective_number_weights(single))


def test_extreme_logits_give_finite_losses_and_gradients():
    for scale in (1e4, 1e30):
        for gamma in (0.0, 0.5, 2.0):
            check_finite(lambda z, y, gamma=gamma: softmax_focal_loss(z, y, gamma), scale)
        check_finite(lambda z, y: balanced_softmax_loss(z, y, COUNTS), scale)
    check_finite(lambda z, y: ldam_loss(z, y, COUNTS, scale=1e4), 1.0)


def check_finite(loss, scale):
    logits = (scale * torch.eye(5)).requires_grad_()
    for labels in (torch.arange(5), torch.arange(5).flip(0)):
        losses = loss(logits, labels)
        losses.sum().backward()
        assert torch.isfinite(losses).all() and torch.isfinite(logits.grad).all()
