"""Random logits and their cross entropies for the tests of the equalization losses."""

import math

import numpy as np
import torch

from mmdet_ltnorm.losses.sigmoid import PRIOR

RARE = np.array([False, False, True, False, True])
LOG_2 = math.log(2)


def batch(columns, size=40, seed=0):
    """Return logits of probabilities around 1/2, and labels of 5 classes and the background."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(size, columns, generator=generator, dtype=torch.float64) - PRIOR
    return logits, torch.randint(0, 6, (size,), generator=generator)


def cross_entropies(logits, labels):
    """Return targets and binary cross entropies, computed number by number."""
    targets, entropies = np.zeros(logits.shape), np.zeros(logits.shape)
    for i, row in enumerate(logits.numpy()):
        for j, z in enumerate(row):
            p = 1 / (1 + math.exp(-z) * 999)
            targets[i, j] = labels[i] == j
            entropies[i, j] = -math.log(p if labels[i] == j else 1 - p)
    return targets, entropies
