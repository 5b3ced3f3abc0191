"""NBN layers with random parameters and statistics."""

import torch

from mmdet_ltnorm.norms import NBN


def randomized(channels, **options):
    """Return an NBN layer whose raw vectors, magnitude and statistics are all random."""
    layer = NBN(channels, dtype=torch.float64, **options)
    with torch.no_grad():
        for tensor in (*layer.parameters(), layer.running_mean):
            tensor.normal_()
        layer.running_var.uniform_(0.5, 2)
    return layer
