"""Where the components of a mixture start: around the moments of a batch or of a checkpoint."""

from typing import Any

import torch
from torch import Tensor

from mmdet_ltnorm.norms.functional import widened
from mmdet_ltnorm.norms.synchronize import sum_over_ranks

# In standard deviations. Equal components stay equal for ever; any asymmetry grows.
PERTURBATION = 0.1


def perturbation(components: int, channels: int) -> Tensor:
    """Return offsets (M, C) that sum to zero over the components; always the same ones."""
    noise = torch.randn(components, channels, generator=torch.Generator().manual_seed(0))
    return PERTURBATION * (noise - noise.mean(0))


def are_untouched(mean: Tensor, var: Tensor) -> bool:
    """Tell whether statistics (M, C) are as a layer starts, in whatever precision."""
    fresh = perturbation(*mean.shape).to(mean)
    return torch.allclose(mean, fresh, rtol=0, atol=1e-3) and bool(var.eq(1).all())


def batch_mean_and_variance(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the number of pixels on all ranks, and their mean and biased variance (C,)."""
    channels = x.shape[1]
    count = x.numel() // channels
    sums = torch.zeros(1 + 2 * channels, dtype=torch.float64, device=x.device)
    if count:
        dims = [dim for dim in range(x.dim()) if dim != 1]
        var, mean = (t.double() for t in torch.var_mean(widened(x), dims, correction=0))
        sums = count * torch.cat([mean.new_ones(1), mean, var + mean.square()])
    total, first, second = sum_over_ranks(sums).split([1, channels, channels])
    mean = first / total.clamp_min(1)
    return total, mean, (second / total.clamp_min(1) - mean.square()).clamp_min(0)


def around_batch_norm(
    state: dict[str, Any], prefix: str, components: int, eps: float
) -> dict[str, Any]:
    r"""Return a batch norm layer's state as that of a CBN layer with the same function.

    :math:`\mu_j = \mu + \delta_j \sqrt v` and :math:`\beta_j = \beta + \gamma \circ \delta_j
    \sqrt{v / (v + \epsilon)}`, so that all components are the same affine map in evaluation.
    """
    own = {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }
    mean, var = own["running_mean"], own["running_var"]
    offsets = perturbation(components, len(mean)).to(mean) * var.sqrt()
    own["running_mean"] = mean + offsets
    own["running_var"] = var.expand(components, -1)
    own["prior"] = mean.new_full((components,), 1 / components)
    if "weight" in own:
        scale = own["weight"] / (var + eps).sqrt()
        own["bias"] = own["bias"] + scale * offsets
        own["weight"] = own["weight"].expand(components, -1)
    return {prefix + name: value for name, value in own.items()}
