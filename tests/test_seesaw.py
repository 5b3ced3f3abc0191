"""LTSeesawLoss is mmdet's SeesawLoss without its loop, its waits, and its counts of one rank."""

import copy
import itertools

import pytest
import torch
from mmdet.models.losses import SeesawLoss
from mmdet.registry import MODELS
from torch.utils._python_dispatch import TorchDispatchMode

from mmdet_ltnorm.losses import LTSeesawLoss

CLASSES = 7
BATCHES = {
    "mixed": [0, 3, 7, 7, 2, 0, 6, 7],
    "one class": [5] * 8,
    "background alone": [7] * 8,
    "no background": [0, 1, 2, 3, 4, 5, 6, 0],
}
OPTIONS = {
    "default": dict(),
    "summed": dict(reduction="sum", loss_weight=0.3),
    "each sample": dict(reduction="none"),
    "without mitigation": dict(p=0.0),
    "without compensation": dict(q=0.0, eps=0.1),
    "one loss": dict(return_dict=False, q=1.3, p=0.4),
}


def pair(**options):
    """Return mmdet's loss and ours after the same samples."""
    losses = [kind(num_classes=CLASSES, **options) for kind in (SeesawLoss, LTSeesawLoss)]
    for loss in losses:
        loss.cum_samples.copy_(torch.tensor([900.0, 400, 80, 30, 5, 1, 0, 2000]))
    return losses


def scores(size=8, dtype=torch.float64, scale=4.0):
    return (scale * torch.randn(size, CLASSES + 2, dtype=dtype)).requires_grad_()


def outcome(loss, cls_score, *arguments, **options):
    """Return the losses, their names and the gradient of a weighted sum of them."""
    cls_score.grad = None
    found = loss(cls_score, *arguments, **options)
    named = found if isinstance(found, dict) else {"loss": found}
    total = sum(
        (i + 1) * (value * torch.arange(1.0, value.numel() + 1)).sum()
        for i, value in enumerate(named.values())
    )
    total.backward()
    return {name: value.detach() for name, value in named.items()}, cls_score.grad


def assert_equal(ours, theirs, tolerance=1e-6):
    (values, gradient), (expected, expected_gradient) = ours, theirs
    assert values.keys() == expected.keys()
    for name, value in values.items():
        torch.testing.assert_close(value, expected[name], rtol=tolerance, atol=tolerance, msg=name)
    torch.testing.assert_close(gradient, expected_gradient, rtol=tolerance, atol=tolerance)


# mmdet's losses of no sample are a sum, ours have no rows.
CASES = [c for c in itertools.product(BATCHES, OPTIONS) if c != ("background alone", "each sample")]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("labels", "options"), CASES)
def test_losses_gradients_and_counts_are_mmdets(labels, options, dtype):
    theirs, ours = pair(**OPTIONS[options])
    labels = torch.tensor(BATCHES[labels])
    for _ in range(3):  # as the counts grow
        cls_score = scores(dtype=dtype)
        expected = outcome(theirs, cls_score, labels)
        assert_equal(outcome(ours, cls_score, labels), expected)
        assert torch.equal(ours.cum_samples, theirs.cum_samples)


@pytest.mark.parametrize("override", [None, "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("avg_factor", [None, 5.0])
def test_is_called_as_mmdets_is(override, weighted, avg_factor):
    theirs, ours = pair()
    labels, cls_score = torch.tensor(BATCHES["mixed"]), scores()
    weights = torch.rand(8) if weighted else None
    arguments = labels, weights, avg_factor, override
    if avg_factor and override == "sum":
        for loss in (theirs, ours):
            with pytest.raises(ValueError, match="avg_factor can not be used with"):
                loss(cls_score, *arguments)
    else:
        expected = outcome(theirs, cls_score, *arguments)
        assert_equal(outcome(ours, cls_score, *arguments), expected)


def test_many_classes_with_logits_far_apart_are_mmdets_in_single_precision():
    theirs, ours = SeesawLoss(), LTSeesawLoss()
    counts = (1e6 / torch.arange(1, 1205)).round()
    theirs.cum_samples.copy_(counts), ours.cum_samples.copy_(counts)
    labels = torch.randint(0, 1204, (64,))
    cls_score = (20 * torch.randn(64, 1205)).clamp(-60, 60).requires_grad_()
    expected = outcome(theirs, cls_score, labels, avg_factor=64.0)
    assert_equal(outcome(ours, cls_score, labels, avg_factor=64.0), expected)


def test_a_label_that_is_all_but_impossible_has_a_finite_loss_and_a_gradient():
    ours = LTSeesawLoss(num_classes=2)
    cls_score = torch.tensor([[-300.0, 300.0, 0.0, 0.0]], requires_grad=True)
    losses, gradient = outcome(ours, cls_score, torch.tensor([0]))
    # The softmax of the other class is 1, over epsilon and squared: log of 1e4 more.
    expected = 600 + torch.tensor(1e4).log()
    torch.testing.assert_close(losses["loss_cls_classes"], expected)
    torch.testing.assert_close(gradient[0, :2], torch.tensor([-2.0, 2.0]))  # outcome() doubles it


def test_gradients_are_those_of_finite_differences_where_no_factor_moves():
    ours = LTSeesawLoss(num_classes=CLASSES, q=0.0, return_dict=False)
    labels = torch.tensor(BATCHES["mixed"])

    def loss(cls_score):
        ours.cum_samples.copy_(torch.arange(8.0))
        return ours(cls_score, labels)

    assert torch.autograd.gradcheck(loss, scores())


def test_counts_beyond_single_precision_grow_as_mmdets():
    theirs, ours = pair()
    labels = torch.full((7,), CLASSES)
    for loss in (theirs, ours):
        loss.cum_samples.fill_(2.0**24)
        loss(scores(7, torch.float32), labels)
    assert torch.equal(ours.cum_samples, theirs.cum_samples)
    assert ours.cum_samples[-1] == 2**24 + 8  # 7 more, rounded


def test_half_precision_counts_and_computes_in_single():
    theirs, ours = pair()
    labels, cls_score = torch.tensor(BATCHES["mixed"]), scores(dtype=torch.bfloat16)
    values, gradient = outcome(ours, cls_score, labels)
    assert gradient.dtype == torch.bfloat16
    expected, _ = outcome(theirs, cls_score.detach().float().requires_grad_(), labels)
    for name, value in values.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-6)


def test_activation_accuracy_and_channels_are_mmdets():
    theirs, ours = pair()
    cls_score, labels = scores(200).detach(), torch.randint(0, CLASSES + 1, (200,))
    assert ours.get_cls_channels(CLASSES) == theirs.get_cls_channels(CLASSES) == CLASSES + 2
    assert torch.equal(ours.get_activation(cls_score), theirs.get_activation(cls_score))
    expected = theirs.get_accuracy(cls_score, labels)
    for name, value in ours.get_accuracy(cls_score, labels).items():
        torch.testing.assert_close(value, expected[name], check_dtype=False)
    background = torch.full((200,), CLASSES)
    assert ours.get_accuracy(cls_score, background)["acc_classes"] == 0


def test_checkpoints_of_either_load_into_the_other():
    theirs, ours = pair()
    assert ours.state_dict().keys() == theirs.state_dict().keys() == {"cum_samples"}
    theirs.cum_samples.fill_(3)
    ours.load_state_dict(theirs.state_dict())
    assert ours.cum_samples.eq(3).all()
    theirs.load_state_dict(copy.deepcopy(ours).state_dict())


def test_a_box_head_of_mmdet_takes_it_by_name():
    head = MODELS.build(
        dict(
            type="Shared2FCBBoxHead",
            in_channels=4,
            fc_out_channels=8,
            roi_feat_size=2,
            num_classes=CLASSES,
            loss_cls=dict(type="LTSeesawLoss", num_classes=CLASSES),
        )
    )
    assert isinstance(head.loss_cls, LTSeesawLoss) and isinstance(head.loss_cls, SeesawLoss)
    cls_score, boxes = head(torch.randn(6, 4, 2, 2))
    assert cls_score.shape == (6, CLASSES + 2)
    labels = torch.tensor([0, 7, 7, 2, 7, 6])
    targets = torch.ones(6), torch.zeros(6, 4), torch.ones(6, 4)
    losses = head.loss(cls_score, boxes, torch.rand(6, 5), labels, *targets)
    assert {"loss_cls_objectness", "loss_cls_classes", "acc_classes"} <= losses.keys()


def test_an_epsilon_that_divides_by_nothing_is_refused():
    with pytest.raises(ValueError, match="eps must be > 0, got 0"):
        LTSeesawLoss(num_classes=CLASSES, eps=0)


# Waiting for the device


class Waits(TorchDispatchMode):
    """Count the operations whose result, or whose shape, the host has to wait for."""

    NAMES = ("_local_scalar_dense", "nonzero", "_unique2", "masked_select", "bincount", "equal")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        by_mask = func._overloadpacket is torch.ops.aten.index and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        self.count += by_mask or func._overloadpacket.__name__ in self.NAMES
        return func(*args, **(kwargs or {}))


def train(loss, cls_score, labels):
    losses = loss(cls_score, labels, torch.ones_like(labels), 8.0)
    losses |= loss.get_accuracy(cls_score.detach(), labels)
    (losses["loss_cls_classes"] + losses["loss_cls_objectness"]).backward()


def test_nothing_waits_for_the_device(monkeypatch):
    # It looks at labels that are on the host, as here.
    monkeypatch.setattr("mmdet_ltnorm.losses.seesaw.check_labels", lambda *_: None)
    labels = torch.tensor(BATCHES["mixed"])
    waits = []
    for loss in pair():
        with Waits() as counter:
            train(loss, scores(), labels)
        waits.append(counter.count)
    theirs, ours = waits
    assert theirs > 10 and ours == 0


@pytest.mark.gpu
def test_cuda_sees_nothing_waiting():
    theirs, ours = (loss.cuda() for loss in pair())
    labels, cls_score = torch.tensor(BATCHES["mixed"]).cuda(), torch.randn(8, CLASSES + 2).cuda()
    cls_score.requires_grad_()
    torch.cuda.set_sync_debug_mode("error")
    try:
        train(ours, cls_score, labels)
        with pytest.raises(RuntimeError, match="synchroniz"):
            train(theirs, cls_score, labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")
