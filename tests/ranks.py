"""Processes that act as the ranks of a distributed run."""

import multiprocessing

from torch.multiprocessing import start_processes

# A server imports these once and forks the ranks; forked from the tests' own process they would
# inherit its threads, on a GPU also autograd's.
multiprocessing.set_forkserver_preload(
    ["mmdet.models", "mmdet_ltnorm.engine", "hypothesis", "pytest"]
)


def on_two_ranks(function, *args):
    """Call a function of a test module as function(rank, *args) on two ranks."""
    start_processes(function, args, nprocs=2, start_method="forkserver")
