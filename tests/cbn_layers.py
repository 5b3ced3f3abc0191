"""CBN layers whose components have learned two clouds of pixels."""

import torch
from torch import nn

from mmdet_ltnorm.norms import CBN

BUFFERS = ("running_mean", "running_var", "prior")


def trained(channels=6, batches=20, **options):
    """Return a layer whose components have learned two clouds of pixels."""
    layer = CBN(channels, **options)
    nn.init.uniform_(layer.weight, 0.5, 2), nn.init.normal_(layer.bias)
    for _ in range(batches):
        layer(two_clouds(channels))
    return layer


def two_clouds(channels=6, samples=4):
    x = torch.randn(samples, channels, 6, 6)
    x[:, :, :3] = 0.3 * x[:, :, :3] + 3
    return x


def statistics(layer):
    return [getattr(layer, name).clone() for name in (*BUFFERS, "num_batches_tracked")]
