"""EQL v2: worked numbers, a float64 reference and mmdet's loss over steps, and ranks."""

import copy
import math

import numpy as np
import pytest
import torch
from equalization_cases import LOG_2, batch, cross_entropies
from mmdet.registry import MODELS
from ranks import on_two_ranks
from torch import distributed as dist

from mmdet_ltnorm.losses import EqualizationLossV2, eqlv2_weights
from mmdet_ltnorm.losses.sigmoid import PRIOR


def reference_v2(batches):
    """Return the loss of each step and the accumulated gradients, in plain numpy."""
    positive, negative = np.zeros(5), np.zeros(5)
    losses = []
    for logits, labels in batches:
        targets, entropies = cross_entropies(logits, labels)
        p = 1 / (1 + 999 * np.exp(-logits.numpy()))
        ratio = positive / negative if losses else np.full(5, np.inf)
        f = 1 / (1 + np.exp(-12 * (ratio - 0.8)))
        q, r = np.append(1 + 4 * (1 - f), 1), np.append(f, 1)
        losses.append((entropies * (targets * q + (1 - targets) * r)).sum() / len(labels))
        positive += (targets * q * (1 - p)).sum(0)[:5]
        negative += ((1 - targets) * r * p).sum(0)[:5]
    return losses, positive, negative


def test_eqlv2s_weights_by_hand():
    positive = torch.tensor([0.8, 2.4, 0.0, 8.0, 0.0])
    negative = torch.tensor([1.0, 3.0, 5.0, 1.0, 0.0])
    own, others = eqlv2_weights(positive, negative)
    never = 1 / (1 + math.exp(9.6))
    torch.testing.assert_close(others, torch.tensor([0.5, 0.5, never, 1.0, 1.0]))
    torch.testing.assert_close(own, torch.tensor([3.0, 3.0, 5 - 4 * never, 1.0, 1.0]))


def test_eqlv2_by_hand_over_two_steps():
    loss = EqualizationLossV2(1)
    half, labels = torch.full((4, 2), -PRIOR), torch.tensor([0, 1, 1, 1])
    # Without gradients yet all weights are 1; then one positive of 1/2 faces three negatives.
    torch.testing.assert_close(loss(half, labels).item(), 2 * LOG_2)
    assert (loss.positive.item(), loss.negative.item()) == (0.5, 1.5)
    others = 1 / (1 + math.exp(-12 * (1 / 3 - 0.8)))
    own = 1 + 4 * (1 - others)
    expected = LOG_2 * (4 + own + 3 * others) / 4  # the background's four, and the class's
    torch.testing.assert_close(loss(half, labels).item(), expected)
    torch.testing.assert_close(loss.positive.item(), 0.5 + own / 2)


def test_eqlv2_equals_a_float64_reference_and_mmdets_over_steps():
    batches = [batch(6, seed=seed) for seed in range(6)]
    losses, positive, negative = reference_v2(batches)
    ours = EqualizationLossV2(5).double()
    theirs = MODELS.build(dict(type="EQLV2Loss", num_classes=5)).double()
    for (logits, labels), expected in zip(batches, losses, strict=True):
        assert ours(logits, labels).item() == pytest.approx(expected, rel=1e-12)
        assert theirs(logits + PRIOR, labels).item() == pytest.approx(expected, rel=1e-6)
    for name, reference in ("positive", positive), ("negative", negative):
        np.testing.assert_allclose(getattr(ours, name), reference, rtol=1e-12)
    np.testing.assert_allclose(theirs.pos_grad, positive, rtol=1e-6)
    assert eqlv2_weights(ours.positive, ours.negative)[1].max() < 0.9, "weights of 1 prove little"


def test_eqlv2_accumulates_the_gradients_of_its_logits():
    loss = EqualizationLossV2(5, reduction="sum").double()
    expected = torch.zeros(2, 5, dtype=torch.float64)
    for seed in range(3):
        logits, labels = batch(6, seed=seed)
        logits.requires_grad_()
        loss(logits, labels).backward()
        own = labels[:, None] == torch.arange(5)
        gradient = logits.grad[:, :5]
        expected += torch.stack([-(gradient * own).sum(0), (gradient * ~own).sum(0)])
    torch.testing.assert_close(torch.stack([loss.positive, loss.negative]), expected)


def test_eqlv2s_gradients_are_right_and_evaluation_changes_nothing():
    loss = EqualizationLossV2(5).double()
    logits, labels = batch(6)
    loss(logits, labels)
    loss.eval()
    before = copy.deepcopy(loss.state_dict())
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits.requires_grad_())
    assert all(torch.equal(value, before[name]) for name, value in loss.state_dict().items())


def test_eqlv2_goes_on_from_a_checkpoint():
    loss = EqualizationLossV2(5)
    for seed in range(3):
        loss(*batch(6, seed=seed))
    resumed = EqualizationLossV2(5)
    resumed.load_state_dict(loss.state_dict())
    assert resumed(*batch(6, seed=9)) == copy.deepcopy(loss)(*batch(6, seed=9))
    assert resumed(*batch(6, seed=9)) != EqualizationLossV2(5)(*batch(6, seed=9))


def on_a_rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    loss = EqualizationLossV2(5).double()
    for seed in (rank, 2 + rank):
        loss(*batch(6, size=10 + 5 * rank, seed=seed))
    torch.save(loss.state_dict(), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_eqlv2_adds_the_gradients_of_all_ranks(tmp_path):
    on_two_ranks(on_a_rank, tmp_path)
    loss = EqualizationLossV2(5).double()
    for step in (0, 2):
        shares = [batch(6, size=10 + 5 * rank, seed=step + rank) for rank in range(2)]
        loss(*(torch.cat(parts) for parts in zip(*shares, strict=True)))
    for rank in range(2):
        for name, value in torch.load(tmp_path / f"{rank}.pt").items():
            torch.testing.assert_close(value, loss.state_dict()[name], rtol=1e-12, atol=0)
