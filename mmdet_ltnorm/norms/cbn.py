"""CBN, compound batch normalization (Cheng et al., ACM Multimedia 2022, Eq. 7-16)."""

import math
import warnings
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_ltnorm.norms import pixels
from mmdet_ltnorm.norms.components import (
    are_untouched,
    around_batch_norm,
    batch_mean_and_variance,
    perturbation,
)
from mmdet_ltnorm.norms.diagnostics import have_collapsed, mixture_report
from mmdet_ltnorm.norms.mixture import Components, MixtureNorm, Moments, Rule, normalized
from mmdet_ltnorm.norms.recomputation import TrainingPass, TrainingPasses, recomputing
from mmdet_ltnorm.norms.split import active_groups

BATCHES_BETWEEN_CHECKS = 1000


@MODELS.register_module()
class CBN(_BatchNorm):
    r"""Batch norm under a mixture of M Gaussians, each with its own statistics and affine part.

    .. math:: y_i = \sum_j w_{ij} \Big(\gamma_j \circ \frac{x_i - \mu_j}{\sqrt{v_j + \epsilon}}
              + \beta_j\Big), \qquad
              w_{ij} \propto \tau_j\, N(x_i; \mu_j, v_j + \epsilon)^{1/T}
              \qquad\text{(CBN paper, Eq. 7, 8, 16)}

    for the pixels :math:`x_i` of a (B, C), (B, C, L), (B, C, H, W) or (B, C, D, H, W) input. The
    responsibilities w come from the *stored* statistics, the buffers ``running_mean`` and
    ``running_var`` (M, C) and ``prior`` (M,). Training normalizes with the mean and variance that
    the batch's pixels have under the weights w + k (Eq. 11, 12, shrunk), through which gradients
    flow, and moves the stored statistics by ``momentum``, as batch norm does; evaluation normalizes
    with those stored. With M = 1 this is batch norm.

    Inside :class:`~mmdet_ltnorm.norms.split_by` each sample's pixels belong to its group's
    component (Algorithm 3). In a distributed run the sums over pixels run over all ranks, so that
    N ranks equal one big batch; as with SyncBN, all ranks have to run the layer. A batch of one
    pixel is normalized with the stored statistics, which it leaves alone, and so is a component
    that gets less than one.

    A fresh layer has :math:`\gamma = 1, \beta = 0`, equal priors, and components that lie 0.1
    standard deviations around the mean of the first training batch, the same on every rank and in
    every run. Plain batch norm checkpoints load, with components that lie like that around the
    loaded mean and with biases that keep the function in evaluation up to rounding.

    The printed algorithm normalizes with the stored statistics; that does not train even with one
    component. ``literal`` is what the text says and trains, worse than the default.

    Args:
        momentum: weight of the batch in the stored statistics; with ``literal``, of the old ones.
        num_components: M.
        temperature: T; 1 suits the last norms of residual blocks, ``'sqrt_channels'`` all layers.
        shrinkage: k. Every pixel counts k more for every component, so that none is empty. By
            default 0.1, with ``literal`` 0.
        literal: normalize in training with the stored statistics after their update, of which they
            keep the share ``momentum`` (Eq. 13-15).
        responsibility_gradient: let gradients flow through w to x, too.

    Raises:
        ValueError: options out of range; an input of other dimensions or channels; and what
            :func:`~mmdet_ltnorm.norms.split.active_groups` raises.
        RuntimeError: gradient checkpointing repeats a pass that was too long ago.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        *,
        num_components: int = 4,
        temperature: float | str = 1.0,
        shrinkage: float | None = None,
        literal: bool = False,
        responsibility_gradient: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine=False, track_running_stats=False)
        if shrinkage is None:
            shrinkage = 0.0 if literal else 0.1
        if temperature == "sqrt_channels":
            temperature = math.sqrt(num_features)
        _check_options(num_components, momentum, temperature, shrinkage)
        self.num_components = num_components
        self.temperature = temperature
        self.shrinkage = shrinkage
        self.literal = literal
        self.responsibility_gradient = responsibility_gradient
        # The base class made no tensors of its own, which would be of shape (C,).
        self.affine = self.track_running_stats = True
        each: dict[str, Any] = {"size": (num_components, num_features), "device": device}
        self.weight = nn.Parameter(torch.empty(**each, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(**each, dtype=dtype))
        self.register_buffer("running_mean", torch.empty(**each, dtype=dtype))
        self.register_buffer("running_var", torch.empty(**each, dtype=dtype))
        self.register_buffer("prior", torch.empty(num_components, device=device, dtype=dtype))
        self.register_buffer("num_batches_tracked", torch.tensor(0, device=device))
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget all batches; the mean is that of a batch with mean 0 and variance 1."""
        if not self.track_running_stats:  # the base class's constructor
            return
        self.running_mean.copy_(perturbation(self.num_components, self.num_features))
        self.running_var.fill_(1)
        self.prior.fill_(1 / self.num_components)
        self.num_batches_tracked.zero_()
        self._forget()

    def _forget(self) -> None:
        self._started = False  # whether the statistics are known to come from a batch
        self._passes = TrainingPasses()
        self._responsibilities: Tensor | None = None
        self._batches_until_check = BATCHES_BETWEEN_CHECKS
        self._warned = False

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (B, C, ...)."""
        if not self.training and (torch.compiler.is_compiling() or torch.jit.is_tracing()):
            return normalized(input, self.weight, self.bias, self._stored(), self._rule())
        self._check_input_dim(input)
        if self.training:
            return self._normalize_batch(input)
        args = (self.weight, self.bias, self._stored(), pixels.centre(input), None, self._rule())
        return MixtureNorm.apply(input, *args)[0]

    @torch.compiler.disable
    def _normalize_batch(self, x: Tensor) -> Tensor:
        centre = pixels.centre(x)
        again = recomputing()
        if again:
            _, _, stored, groups = self._passes.take(x.shape, centre)
        else:
            groups = active_groups(len(x), self.num_components)
            self._start(x)
            stored = self._stored()
            self._passes.add(TrainingPass(x.shape, centre, stored, groups))
        y, responsibilities, *moments = MixtureNorm.apply(
            x, self.weight, self.bias, stored, centre, groups, self._rule()
        )
        if not again:
            self._move(Moments(*moments), split=groups is not None)
            if groups is None:
                self._responsibilities = pixels.sample(responsibilities)
        return y

    def _stored(self) -> Components:
        buffers = (self.running_mean, self.running_var, self.prior)
        return Components(*(buffer.to(torch.float64, copy=True) for buffer in buffers))

    def _rule(self) -> Rule:
        return Rule(
            eps=self.eps,
            temperature=self.temperature,
            shrinkage=self.shrinkage,
            kept=self.momentum if self.literal else 0.0,
            training=self.training,
            responsibility_gradient=self.responsibility_gradient,
        )

    @torch.no_grad()
    def _start(self, x: Tensor) -> None:
        """Move the components of a fresh layer to where the pixels of its first batch are."""
        if self._started or self.num_components == 1:  # one has no others to be told from
            return
        if are_untouched(self.running_mean, self.running_var):
            total, mean, var = batch_mean_and_variance(x)
            if total < 1.5:
                return
            self.running_mean.mul_(var.sqrt()).add_(mean)
            self.running_var.mul_(var)
        self._started = True

    @torch.no_grad()
    def _move(self, batch: Moments, split: bool) -> None:
        """Move the stored statistics towards the batch's."""
        rate = 1 - self.momentum if self.literal else self.momentum
        # Without bias, as batch norm stores it; the paper does not correct it (Eq. 12).
        bessel = 1 if self.literal else batch.total / (batch.total - 1).clamp_min(1)
        dtype = self.running_mean.dtype
        moved = batch.seen.to(dtype) * rate
        self.running_mean.lerp_(batch.mean.to(dtype), moved)
        self.running_var.lerp_((batch.var * bessel).to(dtype), moved)
        enough = batch.total > 1.5
        self.num_batches_tracked.add_(enough)
        if not split:
            self.prior.lerp_(batch.share.to(dtype), enough.to(dtype) * rate)
        self._batches_until_check -= 1
        if self._batches_until_check == 0:
            self._warn_if_collapsed()

    def _warn_if_collapsed(self) -> None:
        self._batches_until_check = BATCHES_BETWEEN_CHECKS
        if self._warned or self.num_components == 1:
            return
        if have_collapsed(self.running_mean, self.running_var, self.prior):
            self._warned = True
            warnings.warn(
                f"the components of {self} have collapsed into one, it is batch norm now: lower "
                "its temperature or shrinkage, or train with split_by, too",
                stacklevel=2,
            )

    @torch.no_grad()
    def responsibilities(self, input: Tensor) -> Tensor:
        """Return w under the stored statistics, (B, M, ...) for pixels (B, C, ...)."""
        stored, rule = self._stored(), self._rule()._replace(training=False)
        centre = pixels.centre(input)
        args = (self.weight, self.bias, stored, centre, None, rule)
        weights = MixtureNorm.apply(input, *args)[1]
        return weights.mT.reshape(len(input), *input.shape[2:], -1).movedim(-1, 1)

    @torch.no_grad()
    def diagnostics(self, responsibilities: Tensor | None = None) -> dict[str, Tensor]:
        r"""Return what the components tell apart, for logging.

        ``prior`` (M,) is :math:`\tau`; ``distance`` the mean distance of two components in standard
        deviations per channel; ``dead`` the share of components with a prior below 0.01 / M.
        ``entropy`` is the mean entropy of the responsibilities, and ``mutual_information`` theirs
        with the pixels, :math:`H(\bar w) - \overline{H(w_i)}`, both in units of log M: components
        with an entropy of 1 or a mutual information of 0 tell nothing apart.

        Args:
            responsibilities: (B, M, ...), what :meth:`responsibilities` returns; by default those
                of a sample of at most 4096 pixels of the last training batch that was not split.

        Raises:
            ValueError: there was no such batch yet.
        """
        if responsibilities is None:
            responsibilities = self._responsibilities
        if responsibilities is None:
            raise ValueError(
                "diagnostics() reports on the last training batch, and there was none yet: train "
                "first, or give responsibilities(input)"
            )
        rows = responsibilities.movedim(1, -1).reshape(-1, self.num_components)
        return mixture_report(self.running_mean, self.running_var, self.prior, rows)

    def extra_repr(self) -> str:
        """Add what differs from batch norm."""
        shown = f"{self.num_features}, num_components={self.num_components}, eps={self.eps}"
        shown += f", momentum={self.momentum}, temperature={self.temperature:g}"
        shown += f", shrinkage={self.shrinkage}"
        flags = ("literal", "responsibility_gradient")
        return ", ".join([shown, *(f"{flag}=True" for flag in flags if getattr(self, flag))])

    def _check_input_dim(self, input: Tensor) -> None:
        if not 2 <= input.dim() <= 5 or input.shape[1] != self.num_features:
            raise ValueError(
                f"CBN({self.num_features}) takes (B, {self.num_features}) with up to three more "
                f"dimensions, got {tuple(input.shape)}"
            )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        mean = state_dict.get(prefix + "running_mean")
        if mean is not None and mean.dim() == 1:
            state_dict = around_batch_norm(state_dict, prefix, self.num_components, self.eps)
        self._forget()
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _check_options(components: int, momentum: float, temperature: float, shrinkage: float) -> None:
    if components < 1:
        raise ValueError(f"num_components must be at least 1, got {components}")
    if momentum is None:
        raise ValueError("momentum must be a number, got None: CBN has no cumulative average")
    if isinstance(temperature, str) or temperature <= 0:
        raise ValueError(f"temperature must be positive or 'sqrt_channels', got {temperature!r}")
    if shrinkage < 0:
        raise ValueError(f"shrinkage must not be negative, got {shrinkage}")
