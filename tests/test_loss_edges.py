"""Losses of empty batches, labels that are no class, and logits like NaN."""

import math

import pytest
import torch
from loss_cases import COUNT_LOSSES, COUNTS
from mmdet.registry import MODELS

from mmdet_ltnorm.losses import BalancedContrastiveLoss, EqualizationLossV2

CLASSES = 5
SEESAW = dict(type="LTSeesawLoss", num_classes=CLASSES, return_dict=False)
RIDE = dict(type="RIDELoss", num_classes=CLASSES, loss=dict(type="SoftmaxFocalLoss"))
# The loss, and the columns of its logits.
LOSSES = {name: (cfg, CLASSES) for name, cfg in COUNT_LOSSES.items()} | {
    "SoftmaxFocalLoss": (dict(type="SoftmaxFocalLoss"), CLASSES),
    "LDAM in ClassBalancedLoss": (
        COUNT_LOSSES["ClassBalancedLoss"] | dict(loss=COUNT_LOSSES["LDAMLoss"]),
        CLASSES,
    ),
    "EqualizationLoss": (
        dict(type="EqualizationLoss", num_classes=CLASSES, ann_file="", threshold=0.1),
        CLASSES,
    ),
    "EqualizationLossV2": (dict(type="EqualizationLossV2", num_classes=CLASSES), CLASSES + 1),
    "LTSeesawLoss": (SEESAW, CLASSES + 2),
    "RIDELoss": (RIDE, CLASSES),
    "BalancedContrastiveLoss": (None, 7),
}
by_name = pytest.mark.parametrize("name", LOSSES)


def built(name):
    """Return a loss of logits and labels that knows the class counts."""
    cfg, _ = LOSSES[name]
    if cfg is None:
        contrastive, prototypes = BalancedContrastiveLoss(), torch.randn(CLASSES, 7)
        return lambda features, labels: contrastive(features[None], labels, prototypes)
    loss = MODELS.build(cfg)
    for module in loss.modules():
        if hasattr(module, "set_class_counts"):
            module.set_class_counts(COUNTS)
    if name == "EqualizationLoss":
        loss.rare = torch.tensor([False, False, True, True, True])
    if name == "RIDELoss":
        return lambda logits, labels: loss(logits[:, None].expand(-1, 2, -1), labels)
    return loss


def logits(name, size):
    return (torch.rand(size, LOSSES[name][1]) * 2 - 1).requires_grad_()


@by_name
def test_the_loss_of_no_samples_is_zero_with_a_gradient(name):
    scores = logits(name, 0)
    if name == "LTSeesawLoss":  # mmdet's objectness has no mean of nothing; its heads give a factor
        loss = built(name)(scores, torch.empty(0, dtype=torch.long), avg_factor=1.0)
    else:
        loss = built(name)(scores, torch.empty(0, dtype=torch.long))
    assert loss == 0
    loss.backward()
    assert scores.grad.shape == scores.shape


@by_name
@pytest.mark.parametrize("label", [-1, CLASSES + 1, 2**40])
def test_a_label_that_is_no_class_is_refused(name, label):
    labels = torch.tensor([0, label, 2])
    message = rf"labels must be in 0\.\.\d, got .*{label}.*num_classes|Target {label} is out of"
    with pytest.raises((ValueError, IndexError), match=message):
        built(name)(logits(name, 3), labels)


@by_name
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_logits_that_are_not_finite_give_no_finite_loss(name, number):
    scores = logits(name, 3).detach()
    scores[1, 1] = number
    try:
        loss = built(name)(scores, torch.tensor([0, 2, 4]))
    except ValueError as error:  # infinity is no cosine
        assert "LDAM" in name and "got a logit of inf" in str(error)
    else:
        assert not loss.isfinite()


def test_a_batch_that_is_not_finite_does_not_stay_in_the_sums_of_eql_v2():
    loss = EqualizationLossV2(CLASSES)
    scores = logits("EqualizationLossV2", 3).detach()
    loss(scores, torch.tensor([0, 2, 5]))
    before = loss.positive.clone(), loss.negative.clone()
    scores[1, 1] = math.nan
    assert loss(scores, torch.tensor([0, 2, 5])).isnan()
    for after, old in zip((loss.positive, loss.negative), before, strict=True):
        assert after.isfinite().all() and (after[1] == old[1]) and (after >= old).all()


@pytest.mark.parametrize("name", COUNT_LOSSES)
@pytest.mark.parametrize(
    "counts",
    [[5, 4, 3, 2, -1], [0] * 5, [5, 4, 3, 2, math.nan], [5, 4, 3, 2, 1.5], ["5"] * 5, [True] * 5],
)
def test_numbers_that_are_no_counts_are_refused(name, counts):
    with pytest.raises(ValueError, match="class counts must be .* integers >= 0 and not all 0"):
        MODELS.build(COUNT_LOSSES[name]).set_class_counts(counts)


@pytest.mark.parametrize("name", COUNT_LOSSES)
def test_a_class_without_samples_has_a_finite_loss(name):
    loss = MODELS.build(COUNT_LOSSES[name])
    loss.set_class_counts([50, 0, 3, 0, 1])
    scores = logits(name, 5)
    value = loss(scores, torch.arange(5))
    value.backward()
    assert value.isfinite() and scores.grad.isfinite().all()


@pytest.mark.parametrize("name", COUNT_LOSSES)
def test_known_counts_are_not_asked_for_again_in_each_step(name, monkeypatch):
    loss = MODELS.build(COUNT_LOSSES[name])
    loss.set_class_counts(COUNTS)
    monkeypatch.setattr(torch.Tensor, "any", lambda *_: pytest.fail("waits for the device"))
    loss.known_class_counts()
