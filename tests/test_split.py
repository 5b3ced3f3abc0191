"""split_by: which class groups it forms, and which component each sample then uses."""

import threading

import pytest
import torch
from torch import nn

from mmdet_ltnorm.class_groups import group_of_classes
from mmdet_ltnorm.norms import CBN, split_by
from mmdet_ltnorm.split import active_groups

LABELS = torch.tensor([0, 5, 2, 9])


def test_classes_are_grouped_by_number_remainder_or_frequency():
    assert group_of_classes(4, num_classes=10).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]
    assert group_of_classes(4, "modulo", num_classes=10).tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    counts = [5, 90, 7, 90, 1]
    assert group_of_classes(2, "frequency", class_counts=counts).tolist() == [1, 0, 0, 0, 1]
    assert group_of_classes(2, class_counts=torch.tensor(counts)).tolist() == [0, 0, 0, 1, 1]
    sorted_counts = [9, 8, 7, 6, 5, 4, 3]
    by_frequency = group_of_classes(3, "frequency", class_counts=sorted_counts)
    assert torch.equal(by_frequency, group_of_classes(3, num_classes=7))


def learned(channels, components, **options):
    """Return a layer whose parameters and stored statistics are random, in float64."""
    layer = CBN(channels, num_components=components, dtype=torch.float64, **options)
    with torch.no_grad():
        for tensor in (layer.weight, layer.bias, layer.running_mean):
            tensor.normal_()
        layer.running_var.uniform_(0.5, 2)
    return layer


@pytest.mark.parametrize("shrinkage", [0.0, 0.1, 1.0])
def test_a_split_pass_is_a_batch_norm_for_each_group_whatever_the_shrinkage(shrinkage):
    layer, names = learned(3, 4, shrinkage=shrinkage), ("running_mean", "running_var")
    norms = [nn.BatchNorm2d(3, dtype=torch.float64) for _ in range(4)]
    for group, norm in enumerate(norms):
        state = {name: rows[group] for name, rows in layer.state_dict().items() if rows.dim() == 2}
        norm.load_state_dict(state, strict=False)
    x, upstream = torch.randn(2, 6, 3, 5, 5, dtype=torch.float64)
    x.requires_grad_()
    with split_by(torch.tensor([0, 3, 1, 3, 0, 7]), 4, "modulo"):
        y = layer(x)
    mine = torch.autograd.grad(y, [x, layer.weight, layer.bias], upstream)
    for group, members in enumerate([[0, 4], [2], [], [1, 3, 5]]):
        if members:
            expected = norms[group](x[members])
            torch.testing.assert_close(y[members], expected)
            wanted = [x, norms[group].weight, norms[group].bias]
            to_x, *theirs = torch.autograd.grad(expected, wanted, upstream[members])
            torch.testing.assert_close(mine[0][members], to_x[members])
            torch.testing.assert_close([gradient[group] for gradient in mine[1:]], theirs)
        for name in names:
            ours = getattr(layer, name)[group]
            torch.testing.assert_close(ours, getattr(norms[group], name))


def test_a_group_of_one_pixel_is_normalized_with_the_stored_statistics_which_stay():
    layer = learned(3, 2)
    before = layer.state_dict(keep_vars=False)
    before = {name: tensor.clone() for name, tensor in before.items()}
    x, upstream = torch.randn(2, 3, 3, 1, 1, dtype=torch.float64)
    x.requires_grad_()
    with split_by(torch.tensor([0, 0, 1]), 2, num_classes=2):
        y = layer(x)
    scale = layer.weight[1] / (before["running_var"][1] + layer.eps).sqrt()
    expected = (x[2, :, 0, 0] - before["running_mean"][1]) * scale + layer.bias[1]
    torch.testing.assert_close(y[2, :, 0, 0], expected)
    (to_x,) = torch.autograd.grad(y, x, upstream)
    torch.testing.assert_close(to_x[2, :, 0, 0], upstream[2, :, 0, 0] * scale)
    for name in ("running_mean", "running_var"):
        moved = (getattr(layer, name) != before[name]).any(1)
        assert moved.tolist() == [True, False], name


def test_only_components_with_samples_move_and_the_prior_never():
    layer = CBN(3, num_components=4)
    layer(torch.randn(8, 3, 4, 4))
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    with split_by(torch.tensor([0, 2, 0]), 4, num_classes=4):
        layer(torch.randn(3, 3, 4, 4) + 5)
    moved = (layer.running_mean != before["running_mean"]).any(1)
    assert moved.tolist() == [True, False, True, False]
    assert torch.equal(layer.running_var[1::2], before["running_var"][1::2])
    assert torch.equal(layer.prior, before["prior"])


def test_evaluation_takes_no_notice_of_a_split():
    layer = CBN(3, num_components=2).eval()
    x = torch.randn(4, 3, 4, 4)
    with split_by(torch.tensor([0]), 5, num_classes=9):
        assert torch.equal(layer(x), layer(x))
        inside = layer(x)
    assert torch.equal(inside, layer(x))


def test_contexts_nest_reenter_and_end_with_an_exception():
    outer = split_by(torch.tensor([0, 1]), 2, "modulo")
    inner = split_by(torch.tensor([1, 1]), 2, "modulo")
    with outer:
        with inner, inner:
            assert active_groups(2, 2).tolist() == [1, 1]
        assert active_groups(2, 2).tolist() == [0, 1]
        with outer:
            assert active_groups(2, 2).tolist() == [0, 1]
        with pytest.raises(KeyError), inner:
            raise KeyError
        assert active_groups(2, 2).tolist() == [0, 1]
    assert active_groups(2, 2) is None


def test_a_context_belongs_to_the_thread_that_entered_it():
    seen = {}
    barrier = threading.Barrier(2)

    def enter(group):
        with split_by(torch.tensor([group, group]), 2, "modulo"):
            barrier.wait()
            seen[group] = active_groups(2, 2).tolist()
            barrier.wait()

    threads = [threading.Thread(target=enter, args=(group,)) for group in (0, 1)]
    with split_by(torch.tensor([0, 1]), 2, "modulo"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert active_groups(2, 2).tolist() == [0, 1]
    assert seen == {0: [0, 0], 1: [1, 1]}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(num_classes=9), r"labels must be in 0\.\.8, got 0\.\.9"),
        (dict(labels=torch.tensor([-1, 2]), grouping="modulo"), r"in 0\.\.3, got -1\.\.2"),
        (dict(labels=LABELS[None], num_classes=10), r"shape \(samples,\), got \(1, 4\)"),
        (dict(labels=LABELS.float(), num_classes=10), "class indices.*got .* of torch.float32"),
        (dict(grouping="random"), r"\('contiguous', 'modulo', 'frequency'\), got 'random'"),
        (dict(), "'contiguous' needs num_classes or class_counts"),
        (dict(grouping="frequency", num_classes=10), "'frequency' needs class_counts"),
        (dict(num_classes=10, class_counts=[1] * 12), "num_classes=10, but class_counts has 12"),
        (dict(num_groups=11, num_classes=10), r"num_groups must be in 1\.\.10 .*got 11"),
        (dict(num_groups=0, num_classes=10), r"num_groups must be in 1\.\.10 .*got 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        split_by(**{"labels": LABELS, "num_groups": 4, **arguments})


def test_a_layer_refuses_a_split_that_does_not_fit_it():
    layer = CBN(3, num_components=2)
    with (
        split_by(LABELS, 3, num_classes=10),
        pytest.raises(ValueError, match="num_groups=3, but .* num_components=2"),
    ):
        layer(torch.randn(4, 3, 2, 2))
    with (
        split_by(LABELS, 2, num_classes=10),
        pytest.raises(ValueError, match="4 labels, but .* batch of 5"),
    ):
        layer(torch.randn(5, 3, 2, 2))


def test_an_empty_batch_can_be_split():
    layer = CBN(3, num_components=2)
    with split_by(torch.empty(0, dtype=torch.long), 2, num_classes=4):
        assert layer(torch.empty(0, 3, 2, 2)).shape == (0, 3, 2, 2)
