"""Processes that act as the ranks of a distributed run."""

import atexit
import multiprocessing

import torch
from torch.multiprocessing import start_processes

# A fork of the tests' process has all imports. On a GPU it also has autograd's threads, which it
# cannot use; there a server imports these once and forks.
METHOD = "forkserver" if torch.cuda.is_available() else "fork"
multiprocessing.set_forkserver_preload(
    ["mmdet.models", "mmdet_ltnorm.engine", "hypothesis", "pytest"]
)


def on_two_ranks(function, *args):
    """Call a function of a test module as function(rank, *args) on two ranks."""
    start_processes(_on_a_rank, (function, *args), nprocs=2, start_method=METHOD)


def _on_a_rank(rank, function, *args):
    atexit._clear()  # what the tests' process does in the end, a rank's end must not do
    torch.set_num_threads(1)  # OpenMP's threads of the tests' process are not in its fork
    function(rank, *args)
