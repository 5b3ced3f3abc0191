"""CBN written out in a few slow, obvious lines: the oracle of its tests."""

import torch
from torch.nn import functional as F


def cbn_reference(x, weight, bias, state, layer, groups=None, training=True):
    """Compute Eq. 7-16 of the CBN paper pixel by pixel; return the output and the new state.

    ``state`` is (running_mean, running_var, prior), ``layer`` has the options. A pixel's weight in
    the moments of a component is its responsibility plus the shrinkage k; with ``groups`` it is 1
    for its own component and 0 for others (Eq. 17, 18).
    """
    mean, var, prior = state
    rows = x.movedim(1, -1).reshape(-1, 1, x.shape[1])  # (N, 1, C)
    count = len(rows)
    if groups is None:
        variance = var + layer.eps
        log_density = -0.5 * ((rows - mean) ** 2 / variance + variance.log()).sum(-1)
        logits = prior.clamp(min=1e-3).log() + log_density / layer.temperature
        w = logits.softmax(1).detach()
    else:
        w = F.one_hot(groups, len(prior)).to(x).repeat_interleave(count // len(x), 0)
    used_mean, used_var = mean, var
    if training:
        each = (w + (layer.shrinkage if groups is None else 0))[:, :, None]  # (N, M, 1)
        pixels = each.sum(0)
        seen = (pixels >= (1 if groups is None else 2)) & (count >= 2)
        summed = x.new_tensor(count) if groups is None else pixels
        pixels = pixels.clamp(min=1e-30)
        new_mean = (each * rows).sum(0) / pixels
        new_var = (each * (rows - new_mean) ** 2).sum(0) / pixels
        kept, rate, bessel = 0, layer.momentum, summed / (summed - 1).clamp(min=1)
        if layer.literal:
            kept, rate, bessel = layer.momentum, 1 - layer.momentum, 1
        used_mean = torch.where(seen, kept * mean + (1 - kept) * new_mean, mean)
        used_var = torch.where(seen, kept * var + (1 - kept) * new_var, var)
        mean = torch.where(seen, (1 - rate) * mean + rate * new_mean, mean).detach()
        var = torch.where(seen, (1 - rate) * var + rate * new_var * bessel, var).detach()
        if groups is None and count >= 2:
            prior = ((1 - rate) * prior + rate * w.mean(0)).detach()
    standardized = (rows - used_mean) / (used_var + layer.eps).sqrt()  # (N, M, C)
    y = (w[:, :, None] * (weight * standardized + bias)).sum(1)
    return y.reshape(x.movedim(1, -1).shape).movedim(-1, 1), (mean, var, prior)
