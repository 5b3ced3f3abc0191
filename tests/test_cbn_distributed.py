"""Ranks that share a batch equal one process that has all of it: CBN's sums run over the ranks."""

import pytest
import torch
from ranks import on_two_ranks
from torch import distributed as dist

from mmdet_ltnorm.norms import CBN, split_by
from mmdet_ltnorm.norms.backends.synchronize import sum_over_ranks

CASES = {
    "compound": dict(),
    "split": dict(split=True),
    "fresh": dict(fresh=True),
    "literal": dict(literal=True),
    "a rank without samples": dict(sizes=(8, 0), fresh=True),
    "one pixel a rank": dict(sizes=(1, 1), size=1, shrinkage=1.0),
    "split, a group on one rank only": dict(split=True, sizes=(2, 1)),
    "split, two pixels in a group or one": dict(split=True, sizes=(2, 3), size=1),
    "pixels far from zero": dict(far=1e3),
}


def case(split=False, fresh=False, sizes=(3, 5), size=4, far=0, **options):
    """Return a layer, and for each rank its samples, gradients of the outputs, and labels."""
    torch.manual_seed(0)
    layer = CBN(6, num_components=3, dtype=torch.float64, **options)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    if not fresh:
        layer.running_mean.normal_(far)
        layer.running_var.uniform_(0.5, 2)
    x, upstream = torch.randn(2, sum(sizes), 6, size, size, dtype=torch.float64)
    x += far
    labels = torch.arange(sum(sizes))
    return layer, split, [x.split(sizes), upstream.split(sizes), labels.split(sizes)]


def train_twice(layer, split, x, upstream, labels):
    """Return the second output, the gradients, and the statistics after two batches."""
    for _ in range(2):
        layer.zero_grad()
        x = x.detach().requires_grad_()
        if split:
            with split_by(labels, 3, "modulo"):
                y = layer(x)
        else:
            y = layer(x)
        y.backward(upstream)
    gradients = torch.stack([parameter.grad for parameter in layer.parameters()])
    return y.detach(), x.grad, gradients, [buffer.clone() for buffer in layer.buffers()]


def on_a_rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    torch.set_num_threads(1)
    results = {}
    for name, options in CASES.items():
        layer, split, shares = case(**options)
        results[name] = train_twice(layer, split, *(share[rank] for share in shares))
    x = torch.tensor([1.0 + rank, 2.0], requires_grad=True)
    total = sum_over_ranks(x)
    (total * (10 + rank)).sum().backward()
    results["sum"] = total.detach(), x.grad
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two ranks has computed."""
    folder = tmp_path_factory.mktemp("ranks")
    on_two_ranks(on_a_rank, folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_equal_one_process_with_both_batches(ranks, name):
    layer, split, shares = case(**CASES[name])
    y, x_grad, gradients, buffers = train_twice(layer, split, *(torch.cat(s) for s in shares))
    results = [rank[name] for rank in ranks]
    close = dict(rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(torch.cat([result[0] for result in results]), y, **close)
    torch.testing.assert_close(torch.cat([result[1] for result in results]), x_grad, **close)
    torch.testing.assert_close(sum(result[2] for result in results), gradients, **close)
    for result in results:
        for ours, theirs in zip(result[3], buffers, strict=True):
            torch.testing.assert_close(ours, theirs, **close)


def test_a_sum_over_ranks_has_the_sum_of_their_gradients(ranks):
    for total, gradient in (rank["sum"] for rank in ranks):
        assert total.tolist() == [3.0, 4.0] and gradient.tolist() == [21.0, 21.0]


def test_a_sum_over_one_process_is_the_tensor():
    x = torch.ones(2)
    assert sum_over_ranks(x) is x
