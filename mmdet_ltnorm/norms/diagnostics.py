"""Diagnostics of the components of a CBN layer."""

import math

import torch
from torch import Tensor

# In standard deviations per channel; a fresh layer starts at 0.14.
COLLAPSED_DISTANCE = 0.05
# Of the prior that every component has in a fresh layer.
DEAD_PRIOR = 0.01


def component_distances(mean: Tensor, var: Tensor) -> Tensor:
    """Return the distances (M, M) of means (M, C), in standard deviations per channel."""
    mean, var = mean.double(), var.double()
    pooled = (var[:, None] + var).div(2).clamp_min(torch.finfo(torch.float32).tiny)
    return ((mean[:, None] - mean).square() / pooled).mean(-1).sqrt()


def are_dead(prior: Tensor) -> Tensor:
    """Return which components have almost no pixels, (M,)."""
    return prior < DEAD_PRIOR / len(prior)


def have_collapsed(mean: Tensor, var: Tensor, prior: Tensor) -> bool:
    """Tell whether all components that are not dead are equal."""
    alive = ~are_dead(prior)
    return bool(component_distances(mean[alive], var[alive]).max() < COLLAPSED_DISTANCE)


def mixture_report(
    mean: Tensor, var: Tensor, prior: Tensor, responsibilities: Tensor
) -> dict[str, Tensor]:
    """Return the report of :meth:`~mmdet_ltnorm.norms.CBN.diagnostics`; responsibilities (P, M)."""
    components = len(prior)
    pairs = component_distances(mean, var)[torch.triu_indices(components, components, 1).unbind()]
    unit = math.log(max(components, 2))
    wide = responsibilities.double()
    entropy = torch.special.entr(wide).sum(1).mean() / unit
    return {
        "prior": prior.clone(),
        "distance": pairs.mean() if components > 1 else pairs.sum(),
        "dead": are_dead(prior).double().mean(),
        "entropy": entropy,
        "mutual_information": torch.special.entr(wide.mean(0)).sum() / unit - entropy,
    }
