"""LTSeesawLoss on two ranks that share their counts."""

import torch
from ranks import on_two_ranks
from torch import distributed as dist

from mmdet_ltnorm.losses.seesaw import LTSeesawLoss

CLASSES = 7


def shared_batch():
    torch.manual_seed(0)
    return torch.randn(12, CLASSES + 2, dtype=torch.float64), torch.randint(0, CLASSES + 1, (12,))


def two_steps(loss, cls_score, labels):
    for _ in range(2):
        found = loss(cls_score, labels, reduction_override="none")
    return found["loss_cls_classes"], loss.cum_samples


def on_a_rank(rank, folder):
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    shares = [tensor.split([5, 7])[rank] for tensor in shared_batch()]
    results = {
        sync: two_steps(LTSeesawLoss(sync_counts=sync, num_classes=CLASSES), *shares)
        for sync in (True, False)
    }
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_ranks_that_share_their_counts_equal_one_with_all_samples(tmp_path):
    on_two_ranks(on_a_rank, tmp_path)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    losses, counts = two_steps(LTSeesawLoss(num_classes=CLASSES), *shared_batch())
    torch.testing.assert_close(torch.cat([rank[True][0] for rank in ranks]), losses)
    for rank in ranks:
        assert torch.equal(rank[True][1], counts)
        assert not torch.equal(rank[False][1], counts)
