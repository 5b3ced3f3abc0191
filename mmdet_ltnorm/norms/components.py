"""The parameters and stored statistics of M components: how they start, move and load."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_ltnorm.norms.backends.interface import Components
from mmdet_ltnorm.norms.backends.precision import widened
from mmdet_ltnorm.norms.backends.synchronize import sum_over_ranks

# Offsets of fresh components in standard deviations. Equal ones stay equal for ever, and any
# asymmetry grows: training ends the same from 0.01 to 1, and from k-means.
PERTURBATION = 0.1
# Pixels whose responsibilities are kept for reports.
SAMPLED = 4096


class MixtureOfBatchNorms(_BatchNorm):
    """The parameters and statistics of a batch norm layer, for M components.

    Parameters ``weight`` and ``bias`` (M, C); buffers ``running_mean`` and ``running_var`` (M, C),
    ``prior`` (M,) and ``num_batches_tracked``. The state dict leaves out ``not_finite``, and the
    responsibilities of some pixels of the last batch: rows up to the first one of -1.
    """

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float,
        num_components: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine=False, track_running_stats=False)
        # With these False, the base class has made no tensors, whose shape would be (C,).
        self.affine = self.track_running_stats = True
        self.num_components = num_components
        shape, factory = (num_components, num_features), {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(shape, **factory))
        self.bias = nn.Parameter(torch.empty(shape, **factory))
        self.register_buffer("running_mean", torch.empty(shape, **factory))
        self.register_buffer("running_var", torch.empty(shape, **factory))
        self.register_buffer("prior", torch.empty(num_components, **factory))
        self.register_buffer("num_batches_tracked", torch.tensor(0, device=device))
        # 1 once a batch's moments were not finite; read where the host waits anyway.
        met = torch.tensor(0, device=device)
        self.register_buffer("not_finite", met, persistent=False)
        self._sample = torch.empty(SAMPLED, num_components, **factory)
        self._fresh_mean = torch.empty(shape, **factory)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Start afresh, as after a batch with mean 0 and variance 1."""
        if not self.track_running_stats:  # the base class's constructor
            return
        self._fresh_mean.copy_(perturbation(self.num_components, self.num_features))
        self.running_mean.copy_(self._fresh_mean)
        self.running_var.fill_(1)
        self.prior.fill_(1 / self.num_components)
        self.num_batches_tracked.zero_()
        self.not_finite.zero_()
        self._sample.fill_(-1)
        self._placed = False  # whether the components are known to have met their first batch

    def running(self) -> Components:
        """Return the stored statistics themselves."""
        return Components(self.running_mean, self.running_var, self.prior)

    def may_be_fresh(self) -> bool:
        """Tell whether the components may wait for their first batch; a single one does not."""
        return not self._placed and self.num_components > 1

    def place(self, x: Tensor) -> None:
        """Move the components of a fresh layer to where the pixels of its first batch are."""
        if self.may_be_fresh():
            place(self.running_mean, self.running_var, self._fresh_mean, x)
            self._look_whether_placed()

    def train(self, mode: bool = True) -> "MixtureOfBatchNorms":
        """Set the mode, and check whether the components are placed, which compiled code cannot."""
        super().train(mode)
        if mode and self.may_be_fresh() and type(self.running_mean) is Tensor:
            self._look_whether_placed()
        return self

    def _look_whether_placed(self) -> None:
        if not self.running_mean.is_meta:
            fresh = _are_fresh(self.running_mean, self.running_var, self._fresh_mean)
            self._placed = not fresh

    def _apply(self, fn: Any, recurse: bool = True) -> "MixtureOfBatchNorms":
        super()._apply(fn, recurse)
        self._sample, self._fresh_mean = fn(self._sample), fn(self._fresh_mean)
        return self

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        mean = state_dict.get(prefix + "running_mean")
        if mean is not None and mean.dim() == 1:
            state_dict = _around_batch_norm(state_dict, prefix, self.num_components, self.eps)
        self._placed = False
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def perturbation(components: int, channels: int) -> Tensor:
    """Return offsets (M, C) that sum to zero over the components; always the same ones."""
    noise = torch.randn(components, channels, generator=torch.Generator().manual_seed(0))
    return PERTURBATION * (noise - noise.mean(0))


@torch.no_grad()
def place(mean: Tensor, var: Tensor, fresh_mean: Tensor, x: Tensor) -> None:
    """Move statistics in place to where the pixels of a batch are, if they are a fresh layer's.

    A batch of less than two pixels, or with numbers that are not finite, leaves them alone.

    Args:
        fresh_mean: the means of a fresh layer.
    """
    fresh = _are_fresh(mean, var, fresh_mean)
    if not (x.is_cuda or fresh):  # a GPU's answer would have to be waited for
        return
    total, batch_mean, batch_var = _batch_mean_and_variance(x)
    ready = fresh & (total >= 2) & batch_mean.isfinite().all() & batch_var.isfinite().all()
    placed = mean.clone().mul_(batch_var.sqrt()).add_(batch_mean)
    mean.copy_(placed.where(ready, mean))
    var.copy_(var.clone().mul_(batch_var).where(ready, var))


def _are_fresh(mean: Tensor, var: Tensor, fresh_mean: Tensor) -> Tensor:
    """Tell whether statistics are those of a fresh layer, in whatever precision; a 0-dim tensor."""
    return ((mean - fresh_mean).abs() <= 1e-3).all() & var.eq(1).all()


def _batch_mean_and_variance(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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


def _around_batch_norm(
    state: dict[str, Any], prefix: str, components: int, eps: float
) -> dict[str, Any]:
    r"""Return the state of components with the same function as a batch norm layer's state.

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
        own["bias"] = own["bias"] + own["weight"] / (var + eps).sqrt() * offsets
        own["weight"] = own["weight"].expand(components, -1)
    return {prefix + name: value for name, value in own.items()}
