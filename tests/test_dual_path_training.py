"""The dual path under mixed precision, gradient accumulation and on two ranks."""

import pytest
import torch
from dual_path_cases import LABELS, classifier, samples, state, views
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from ranks import on_two_ranks
from torch import distributed as dist

from mmdet_ltnorm.engine.mixed_precision import BFloat16OptimWrapper


def batch():
    return dict(inputs=[list(view) for view in views()], data_samples=samples())


@pytest.mark.parametrize("wrap", [OptimWrapper, BFloat16OptimWrapper])
def test_trains_under_mixed_precision_and_gradient_accumulation(wrap):
    model = classifier()
    optimizer = wrap(optimizer=torch.optim.SGD(model.parameters(), 0.05), accumulative_counts=2)
    before = state(model.head)
    optimizer.initialize_count_status(model, 0, 4)
    first = model.train_step(batch(), optimizer)
    assert all(torch.equal(before[k], v) for k, v in model.head.state_dict().items())
    model.train_step(batch(), optimizer)
    assert not torch.equal(before["predictor.weight"], model.head.predictor.weight)
    assert torch.isfinite(first["loss"]) and "loss_similarity" in first


def on_a_rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    torch.set_num_threads(1)
    init_default_scope("mmdet")
    torch.manual_seed(0)  # as in the test's own process
    model = classifier()
    wrapped = MMDistributedDataParallel(model, broadcast_buffers=False)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 0.05))
    for _ in range(2):
        mine = dict(
            inputs=[list(view[rank::2]) for view in views()], data_samples=samples(LABELS[rank::2])
        )
        wrapped.train_step(mine, optimizer)
    torch.save(model.state_dict(), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_equal_one_process_with_the_whole_batch(tmp_path):
    on_two_ranks(on_a_rank, tmp_path)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    model = classifier()
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), 0.05))
    for _ in range(2):
        model.train_step(batch(), optimizer)
    for name, tensor in model.state_dict().items():
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], tensor, rtol=1e-3, atol=1e-4)
