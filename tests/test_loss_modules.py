"""The losses as modules: mmdet's calling convention, class counts, and what they refuse."""

import copy
import itertools

import pytest
import torch
from loss_cases import COUNT_LOSSES, COUNTS, batch, built
from mmdet.registry import MODELS
from mmengine.model import ExponentialMovingAverage
from torch import nn
from torch.nn import functional as F

from mmdet_ltnorm.losses import (
    BalancedSoftmaxLoss,
    ClassBalancedLoss,
    LDAMLoss,
    SoftmaxFocalLoss,
    balanced_softmax_loss,
    effective_number_weights,
    softmax_focal_loss,
)


def test_deferred_weights_need_the_epoch():
    loss = built("ClassBalancedLoss", defer_until=2)
    with pytest.raises(RuntimeError, match="from epoch 2 .*LossEpochHook"):
        loss(*batch())
    loss = built("ClassBalancedLoss")  # Not deferred: no epoch is needed.
    assert loss(*batch()) > 0


NEUTRAL = {
    "focal with gamma 0": lambda **o: SoftmaxFocalLoss(gamma=0, **o),
    "balanced softmax of equal counts": lambda **o: with_equal_counts(BalancedSoftmaxLoss(5, **o)),
    "LDAM without margins": lambda **o: with_equal_counts(
        LDAMLoss(5, max_margin=0.0, scale=1.0, **o)
    ),
    "class-balanced loss of equal counts": lambda **o: with_equal_counts(
        ClassBalancedLoss(dict(type="mmdet.CrossEntropyLoss", **o), num_classes=5)
    ),
}


def with_equal_counts(loss):
    loss.set_class_counts([30] * 5)
    return loss


@pytest.mark.parametrize("name", NEUTRAL)
def test_is_called_and_reduced_as_mmdets_cross_entropy(name):
    logits, labels = batch()
    weights = [None, torch.rand(12)]
    for reduction, weight, avg_factor in itertools.product(
        ["none", "mean", "sum"], weights, [None, 7.0]
    ):
        host = MODELS.build(dict(type="CrossEntropyLoss", loss_weight=0.3, reduction=reduction))
        ours = NEUTRAL[name](loss_weight=0.3, reduction=reduction)
        for override in [None, "none", "mean", "sum"]:
            arguments = logits, labels, weight, avg_factor, override
            if (override or reduction) == "sum" and avg_factor:
                for loss in (host, ours):
                    with pytest.raises(ValueError, match="avg_factor can not be used with"):
                        loss(*arguments)
            else:
                torch.testing.assert_close(ours(*arguments), host(*arguments))


@pytest.mark.parametrize("name", list(NEUTRAL)[:3])
def test_ignores_the_labels_that_mmdets_cross_entropy_ignores(name):
    logits, labels = batch()
    host = MODELS.build(dict(type="CrossEntropyLoss"))
    labels[:4] = -100
    torch.testing.assert_close(NEUTRAL[name]()(logits, labels), host(logits, labels))
    labels[:4] = 255
    expected = host(logits, labels, ignore_index=255)
    torch.testing.assert_close(NEUTRAL[name](ignore_index=255)(logits, labels), expected)
    torch.testing.assert_close(NEUTRAL[name]()(logits, labels, ignore_index=255), expected)


def test_class_balanced_mean_leaves_out_ignored_labels():
    logits, labels = batch()
    loss = built("ClassBalancedLoss")
    expected = loss(logits[4:], labels[4:])
    labels[:4] = -100
    torch.testing.assert_close(loss(logits, labels), expected)
    labels[:4] = 255
    torch.testing.assert_close(loss(logits, labels, ignore_index=255), expected)
    assert loss(logits[:4], labels[:4], ignore_index=255) == 0


@pytest.mark.parametrize("loss", ["SoftmaxFocalLoss", "BalancedSoftmaxLoss", "ClassBalancedLoss"])
def test_serves_in_an_mmdet_box_head_with_the_background_last(loss):
    head = MODELS.build(
        dict(
            type="Shared2FCBBoxHead",
            in_channels=4,
            roi_feat_size=2,
            fc_out_channels=8,
            num_classes=5,
            loss_cls=COUNT_LOSSES.get(loss, dict(type=loss)),
        )
    )
    if loss != "SoftmaxFocalLoss":
        head.loss_cls.set_class_counts(COUNTS)
    scores, _ = head(torch.randn(6, 4, 2, 2))
    labels = torch.tensor([0, 4, 5, 5, 5, 2])
    weights = torch.tensor([1.0, 1, 1, 1, 1, 0])
    losses = head.loss(scores, None, None, labels, weights, None, None)
    expected = {
        "SoftmaxFocalLoss": lambda: softmax_focal_loss(scores, labels),
        "BalancedSoftmaxLoss": lambda: balanced_softmax_loss(scores, labels, COUNTS),
        "ClassBalancedLoss": lambda: F.cross_entropy(
            scores,
            labels,
            weight=torch.cat([effective_number_weights(COUNTS), torch.ones(1)]),
            reduction="none",
        ),
    }[loss]()
    torch.testing.assert_close(losses["loss_cls"], (expected * weights).sum() / 5)
    losses["loss_cls"].backward()
    assert head.fc_cls.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", [*COUNT_LOSSES, "SoftmaxFocalLoss"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_computes_in_float32_under_autocast(name, dtype):
    loss = built(name) if name in COUNT_LOSSES else MODELS.build(dict(type=name))
    logits, labels = batch()
    low = logits.to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype):
        value = loss(low, labels)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(low.detach().float(), labels))
    torch.testing.assert_close(value, loss(low.detach(), labels))
    value.backward()
    assert low.grad.dtype == dtype and torch.isfinite(low.grad).all()


@pytest.mark.parametrize("name", COUNT_LOSSES)
def test_counts_are_in_the_checkpoint_and_come_back_from_it(name):
    loss = built(name)
    fresh = MODELS.build(COUNT_LOSSES[name])
    fresh.load_state_dict(loss.state_dict())
    assert torch.equal(fresh.class_counts, COUNTS) and fresh.class_counts.dtype == torch.int64
    assert torch.equal(fresh(*batch()), loss(*batch()))
    assert torch.equal(copy.deepcopy(loss).half().class_counts, COUNTS)
    loss.load_state_dict(MODELS.build(COUNT_LOSSES[name]).state_dict())  # from before the counts
    assert not loss.class_counts.any()


def test_an_average_made_before_the_counts_were_known_gets_them():
    model = nn.ModuleDict(dict(loss=BalancedSoftmaxLoss(5), norm=nn.BatchNorm1d(3)))
    average = ExponentialMovingAverage(model)
    model["loss"].set_class_counts(COUNTS)
    average.update_parameters(model)
    assert torch.equal(average.module["loss"].class_counts, COUNTS)


@pytest.mark.parametrize("name", COUNT_LOSSES)
def test_counts_that_are_unknown_or_do_not_fit_are_errors(name):
    loss = MODELS.build(COUNT_LOSSES[name])
    with pytest.raises(RuntimeError, match=f"{name} does not know.*ClassCountsHook"):
        loss(*batch())
    with pytest.raises(ValueError, match=f"has 7 classes and {name} has num_classes=5"):
        loss.set_class_counts([9] * 7)
    with pytest.raises(ValueError, match="integers >= 0 and not all 0"):
        loss.set_class_counts([1, 2, 3, 4, -5])
    loss.set_class_counts(COUNTS)
    for columns in (4, 7):
        with pytest.raises(ValueError, match=f"logits have {columns} columns .* 5 classes"):
            loss(*batch(columns))


def test_ldam_has_no_background():
    with pytest.raises(ValueError, match="6 columns .* 5 classes.*no margin for a background"):
        built("LDAMLoss")(*batch(6))


def test_ldam_takes_the_cosines_of_a_normed_linear_and_nothing_else():
    loss = built("LDAMLoss")
    features, (_, labels) = torch.randn(12, 7), batch()
    options = dict(type="NormedLinear", in_features=7, out_features=5)
    predictor = MODELS.build(options | dict(tempearture=1, bias=False))
    cosines = predictor(features)
    assert torch.isfinite(loss(cosines, labels))
    # At a bfloat16's precision a cosine may exceed 1.
    predictor.weight.data = features[:5].clone()
    assert torch.isfinite(loss(predictor.bfloat16()(features.bfloat16()), labels))
    with pytest.raises(ValueError, match=r"in \[-1, 1\], got a logit of .*tempearture=1"):
        built("LDAMLoss")(MODELS.build(options)(features), labels)


def test_ldams_probabilities_belong_to_the_scaled_cosines_within_reweighting_too():
    cosines, _ = batch()
    outer = ClassBalancedLoss(dict(type="LDAMLoss", num_classes=5), num_classes=5)
    for loss in (outer, outer.loss):
        assert loss.custom_activation
        torch.testing.assert_close(loss.get_activation(cosines), (30 * cosines).softmax(1))
    assert not built("ClassBalancedLoss").custom_activation


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SoftmaxFocalLoss(gamma=-1), "gamma must be >= 0, got -1"),
        (
            lambda: SoftmaxFocalLoss(reduction="average"),
            r"\('none', 'mean', 'sum'\), got 'average'",
        ),
        (lambda: SoftmaxFocalLoss()(*batch(), reduction_override="all"), "got 'all'"),
        (lambda: effective_number_weights(COUNTS, 1.0), r"beta must be in \[0, 1\), got 1.0"),
    ],
)
def test_options_that_mean_nothing_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
