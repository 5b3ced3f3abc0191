"""The balanced contrastive loss against loops in float64, and what it does not depend on."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import MODELS
from torch.nn import functional as F

import mmdet_ltnorm.losses  # noqa: F401
from mmdet_ltnorm.losses import balanced_contrastive_loss


def reference(features, labels, prototypes, temperature):
    """Return the loss of each sample, by its definition."""
    z = [row / np.linalg.norm(row) for row in features]
    c = [row / np.linalg.norm(row) for row in prototypes]
    losses = []
    for i in range(len(z)):
        others = {
            j: [z[k] for k in range(len(z)) if labels[k] == j and k != i] + [c[j]]
            for j in range(len(c))
        }
        average = {
            j: sum(math.exp(z[i] @ v / temperature) for v in others[j]) / len(others[j])
            for j in others
        }
        total = sum(average.values())
        positives = others[labels[i]]
        logs = [math.log(math.exp(z[i] @ v / temperature) / total) for v in positives]
        losses.append(-sum(logs) / len(positives))
    return losses


def case(labels, num_classes, size=5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(len(labels), size, generator=draw, dtype=torch.float64)
    prototypes = torch.randn(num_classes, size, generator=draw, dtype=torch.float64)
    return features, torch.tensor(labels), prototypes


CASES = {
    "several of each class": ([0, 1, 0, 2, 2, 0, 1, 2], 3),
    "two views of five images": ([0, 0, 1, 3, 2] * 2, 4),
    "classes that are absent": ([5, 1, 5, 5, 1], 8),
    "a single class": ([1] * 6, 2),
    "one sample": ([2], 4),
    "one class in all": ([0, 0, 0], 1),
}


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("name", CASES)
def test_equals_its_definition_in_float64(name, temperature):
    features, labels, prototypes = case(*CASES[name])
    losses = balanced_contrastive_loss(features, labels, prototypes, temperature)
    expected = reference(features.numpy(), labels.tolist(), prototypes.numpy(), temperature)
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_its_gradient_is_that_of_finite_differences(name):
    features, labels, prototypes = case(*CASES[name])
    inputs = features.requires_grad_(), prototypes.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z, c: balanced_contrastive_loss(z, labels, c, 0.3), inputs
    )


def test_a_worked_number():
    # Samples at right angles to each other and to both prototypes but their own: the three of
    # class 0 are e1, e1, e2 and its prototype e1; class 1 has no sample and the prototype e3.
    features = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    prototypes = torch.tensor([[1.0, 0, 0], [0, 0, 1]])
    losses = balanced_contrastive_loss(features, torch.tensor([0, 0, 0]), prototypes, 1.0)
    e = math.e
    # For the first: its class's others are e1, e2 and e1, with the mean (2e + 1) / 3; class 1 adds
    # 1. The logarithms' numerators are 1, 0, 1. For the third all similarities are 0.
    first = math.log((2 * e + 1) / 3 + 1) - 2 / 3
    assert losses.tolist() == pytest.approx([first, first, math.log(2)], rel=1e-6)


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=9),
    seed=st.integers(0, 99),
    scale=st.floats(0.1, 10),
)
@settings(max_examples=25, deadline=None)
def test_neither_the_order_nor_the_length_of_the_vectors_matters(labels, seed, scale):
    features, labels, prototypes = case(labels, 5, seed=seed)
    losses = balanced_contrastive_loss(features, labels, prototypes)
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=draw)
    permuted = balanced_contrastive_loss(features[order], labels[order], prototypes)
    torch.testing.assert_close(permuted, losses[order])
    lengths = scale * (0.1 + torch.rand(len(labels), 1, generator=draw, dtype=torch.float64))
    scaled = balanced_contrastive_loss(lengths * features, labels, scale * prototypes)
    torch.testing.assert_close(scaled, losses)
    classes = torch.randperm(5, generator=draw)
    renamed = balanced_contrastive_loss(features, classes[labels], prototypes[classes.argsort()])
    torch.testing.assert_close(renamed, losses)


def test_the_copies_of_other_classes_change_nothing():
    # Class averaging: a class that is there three times as often pushes as hard.
    features, labels, prototypes = case([0, 0, 1, 2], 3)
    prototypes[1] = features[2]  # so that the class's mean stays when its sample is repeated
    before = balanced_contrastive_loss(features, labels, prototypes)
    repeated = torch.cat([features, features[2:3], features[2:3]])
    after = balanced_contrastive_loss(repeated, torch.tensor([0, 0, 1, 2, 1, 1]), prototypes)
    torch.testing.assert_close(after[[0, 1, 3]], before[[0, 1, 3]])


def test_prototypes_of_absent_classes_are_pushed_away():
    # Class complement: every class takes part in every batch.
    features, labels, prototypes = case([0, 0, 1], 4)
    prototypes.requires_grad_()
    balanced_contrastive_loss(features, labels, prototypes, 1.0).sum().backward()
    assert (prototypes.grad.norm(dim=1) > 1e-3).all()
    step = prototypes.detach() - 0.1 * prototypes.grad
    nearness = F.normalize(features, dim=1).sum(0) @ F.normalize(prototypes.detach(), dim=1).T
    after = F.normalize(features, dim=1).sum(0) @ F.normalize(step, dim=1).T
    assert (after[2:] < nearness[2:]).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_computes_in_float32_under_autocast(dtype):
    features, labels, prototypes = case([0, 1, 0, 2, 2, 0], 3)
    low = features.to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype):
        losses = balanced_contrastive_loss(low, labels, prototypes.to(dtype))
    assert losses.dtype == torch.float32
    wide = balanced_contrastive_loss(low.detach().double(), labels, prototypes.to(dtype).double())
    torch.testing.assert_close(losses.double(), wide, rtol=1e-5, atol=1e-5)
    losses.sum().backward()
    assert low.grad.dtype == dtype and torch.isfinite(low.grad).all()


def test_stays_finite_at_temperatures_whose_exponentials_overflow():
    features, labels, prototypes = case([0, 1, 0, 2], 3)
    features, prototypes = features.float().requires_grad_(), prototypes.float()
    losses = balanced_contrastive_loss(features, labels, prototypes, 1e-3)  # exp(1000)
    losses.sum().backward()
    assert torch.isfinite(losses).all() and torch.isfinite(features.grad).all()


def test_the_module_takes_views_and_returns_their_weighted_mean():
    features, labels, prototypes = case([0, 1, 1] * 2, 3)
    cfg = dict(type="BalancedContrastiveLoss", temperature=0.2, loss_weight=0.35)
    loss = MODELS.build(cfg)(features.unflatten(0, (2, 3)), labels[:3], prototypes)
    expected = balanced_contrastive_loss(features, labels, prototypes, 0.2)
    torch.testing.assert_close(loss, 0.35 * expected.mean())


def test_a_temperature_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="temperature must be > 0, got 0"):
        MODELS.build(dict(type="BalancedContrastiveLoss", temperature=0))
