"""RIDE's loss against a float64 reference and worked numbers, and its schedule."""

import math

import numpy as np
import pytest
import torch
from loss_cases import COUNTS
from mmengine.registry import MODELS
from torch.nn import functional as F

from mmdet_ltnorm.losses import (
    LDAMLoss,
    RIDELoss,
    balanced_softmax_loss,
    expert_divergence,
    ride_temperature,
)

EPOCH = 160


def ride(loss=None, counts=COUNTS, **options):
    """Build RIDE's loss for 5 classes, by default with LDAM-DRW, and tell it the counts."""
    ldam = dict(type="LDAMLoss", num_classes=5, input_scale=30)
    drw = dict(type="ClassBalancedLoss", num_classes=5, defer_until=EPOCH, loss=ldam)
    built = RIDELoss(loss or drw, num_classes=len(counts), defer_until=EPOCH, **options)
    for module in built.modules():
        if hasattr(module, "set_class_counts"):
            module.set_class_counts(counts.tolist())
    return built


def at(loss, epoch):
    for module in loss.modules():
        if hasattr(module, "set_epoch"):
            module.set_epoch(epoch, 200)
    return loss


def batch(seed, experts=3, size=7):
    """Return random logits of experts, 30 times cosines, and labels."""
    draw = np.random.default_rng(seed)
    return 30 * draw.uniform(-1, 1, (size, experts, 5)), draw.integers(0, 5, size)


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def reference(z, y, target, reweighted, factor, strength):
    """Return RIDE's loss by its paper and code, one sample and one expert at a time."""
    n = COUNTS.double().numpy()
    margin = 0.5 * n ** (-1 / 4) / max(n ** (-1 / 4))
    weight, temperature = np.ones(5), np.ones(5)
    if reweighted:
        weight = (1 - 0.9999) / (1 - 0.9999**n)
        temperature = 5 * n / n.sum() * strength + 1 - strength
        temperature = temperature / temperature.max()
    total = 0
    for e in range(z.shape[1]):
        own, divergence = 0, 0
        for i in range(len(z)):
            margined = z[i, e].copy()
            margined[y[i]] -= 30 * margin[y[i]]
            own -= weight[y[i]] * np.log(softmax(margined)[y[i]])
            p, q = softmax(target[i] / temperature), softmax(z[i, e] / temperature)
            divergence += (p * np.log(p / q)).sum()
        total += own / weight[y].sum()
        total += factor * temperature.mean() ** 2 * divergence / len(z)
    return total


@pytest.mark.parametrize(("epoch", "reweighted"), [(159, False), (160, True), (161, True)])
@pytest.mark.parametrize("options", [{}, dict(diversity_factor=-0.45, temperature_strength=0.3)])
def test_value_and_gradient_equal_a_reference_about_the_epoch_of_the_switch(
    epoch, reweighted, options
):
    z, y = batch(epoch)
    logits = torch.tensor(z, requires_grad=True)
    value = at(ride(**options), epoch)(logits, torch.tensor(y))
    numbers = {"diversity_factor": -0.2, "temperature_strength": 0.05} | options
    rest = reweighted, *numbers.values()
    assert value.item() == pytest.approx(reference(z, y, z.mean(1), *rest), rel=1e-6)
    value.backward()
    slope, step = np.empty_like(z), 1e-5
    for index in np.ndindex(z.shape):
        up, down = z.copy(), z.copy()
        up[index] += step
        down[index] -= step
        # The experts' mean is a constant: nothing flows through it.
        pair = [reference(moved, y, z.mean(1), *rest) for moved in (up, down)]
        slope[index] = (pair[0] - pair[1]) / (2 * step)
    np.testing.assert_allclose(logits.grad, slope, rtol=1e-5, atol=1e-7)


def test_worked_by_hand():
    # Two experts with z = (ln 3, 0) and (0, ln 3): p = (3/4, 1/4) and (1/4, 3/4), their mean's
    # (1/2, 1/2). KL = 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3) for both: ln(4/3) = 0.2877 in all.
    logits = torch.tensor([[[math.log(3), 0.0], [0.0, math.log(3)]]])
    divergence = expert_divergence(logits, torch.ones(2))
    assert divergence.item() == pytest.approx(math.log(4 / 3))
    # Cross entropy of label 0: ln(4/3) + ln 4 = 1.6740; 1.6740 - 0.2 * 0.2877 = 1.6164.
    loss = ride(dict(type="mmdet.CrossEntropyLoss"), torch.tensor([9, 9]))
    assert at(loss, EPOCH)(logits, torch.tensor([0])).item() == pytest.approx(1.6164, abs=1e-4)


def test_temperatures_worked_by_hand():
    # Counts 30 and 10: C n / sum = 1.5 and 0.5; with r = 1/2 w = 1.25 and 0.75; over the largest.
    temperature = ride_temperature(torch.tensor([30, 10]), 0.5)
    torch.testing.assert_close(temperature, torch.tensor([1.0, 0.6]))
    assert torch.equal(ride_temperature(COUNTS, 0.0), torch.ones(5))


def test_experts_that_agree_do_not_diverge_and_pushing_them_apart_pays():
    same = torch.randn(4, 1, 5).expand(4, 3, 5)
    torch.testing.assert_close(expert_divergence(same, torch.ones(5)), torch.zeros(4))
    logits = torch.randn(4, 3, 5, requires_grad=True)
    before = expert_divergence(logits, ride_temperature(COUNTS)).sum()
    before.backward()
    moved = logits + 1e-2 * logits.grad
    assert expert_divergence(moved, ride_temperature(COUNTS)).sum() > before


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (dict(type="mmdet.CrossEntropyLoss"), F.cross_entropy),
        (
            dict(type="BalancedSoftmaxLoss", num_classes=5),
            lambda z, y: balanced_softmax_loss(z, y, COUNTS).mean(),
        ),
    ],
)
def test_each_experts_loss_is_a_config(inner, expected):
    z, y = (torch.tensor(part) for part in batch(0))
    value = at(ride(inner, diversity_factor=0.0), 0)(z, y)
    torch.testing.assert_close(value, sum(expected(z[:, e], y) for e in range(3)))


def test_ldam_takes_scaled_cosines_and_says_what_to_set():
    z, y = (torch.tensor(part) for part in batch(1, experts=1))
    z = z[:, 0].float()

    def counted(loss):
        loss.set_class_counts(COUNTS.tolist())
        return loss

    plain, scaled = counted(LDAMLoss(5)), counted(LDAMLoss(5, input_scale=30))
    torch.testing.assert_close(scaled(z, y), plain(z / 30, y))
    torch.testing.assert_close(scaled.get_activation(z), z.softmax(1))
    with pytest.raises(ValueError, match=r"in \[-1, 1\].*input_scale to the predictor's tempear"):
        counted(LDAMLoss(5))(z, y)  # looked at in the first batch


def test_half_precision_is_computed_in_float32():
    z, y = (torch.tensor(part) for part in batch(2))
    loss = at(ride(), EPOCH)
    low = (z / 1.01).bfloat16().requires_grad_()
    value = loss(low, y)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(low.detach().float(), y))
    value.backward()
    assert torch.isfinite(low.grad).all()


def test_what_is_unknown_or_means_nothing_is_an_error():
    loss = ride()
    z, y = (torch.tensor(part) for part in batch(3))
    with pytest.raises(RuntimeError, match="RIDELoss re-weights from epoch 160 .*LossEpochHook"):
        loss(z, y)
    unknown = RIDELoss(dict(type="mmdet.CrossEntropyLoss"), num_classes=5)
    with pytest.raises(RuntimeError, match=r"RIDELoss does not know .*ClassCountsHook"):
        unknown(z, y)
    with pytest.raises(ValueError, match=r"must be in \[0, 1\), got 1.5"):
        ride(temperature_strength=1.5)


def test_the_counts_are_in_the_checkpoint():
    loss = ride()
    fresh = MODELS.build(
        dict(type="RIDELoss", num_classes=5, loss=dict(type="mmdet.CrossEntropyLoss"))
    )
    fresh.load_state_dict({"class_counts": loss.state_dict()["class_counts"]})
    assert torch.equal(fresh.class_counts, COUNTS)
