"""Counts the torch operations of a layer."""

from collections import Counter
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Operations(TorchDispatchMode):
    """A mode that counts operations by name, views included."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


def operations(layer, x):
    """Return the operations of a layer's forward and backward pass, by name."""
    with Operations() as forward:
        y = layer(x)
    with Operations() as backward:
        y.backward(torch.ones_like(y))
    return forward.names, backward.names


# What makes no work for a device: views, and memory that nobody has written.
VIEWS = {"alias", "as_strided", "detach", "expand", "permute", "promote_types", "select", "slice"}
VIEWS |= {"split", "split_with_sizes", "t", "transpose", "unbind", "unsqueeze", "view"}
ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty"}


@contextmanager
def launched():
    """Launch no kernel of Triton's, and yield the list of their names."""
    from triton.runtime import JITFunction

    names = []
    with patch.object(JITFunction, "run", lambda kernel, *_, **__: names.append(kernel.__name__)):
        yield names
