"""Counts the torch operations of a layer."""

from collections import Counter

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
