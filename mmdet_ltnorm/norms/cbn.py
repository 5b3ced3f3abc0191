"""CBN, compound batch normalization (Cheng et al., ACM Multimedia 2022, Eq. 7-16)."""

import math
import warnings
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmdet_ltnorm.arguments import check_norm, checked_flag, checked_integer, checked_number
from mmdet_ltnorm.norms.backends import feature_map
from mmdet_ltnorm.norms.backends.chooser import mixture_backend
from mmdet_ltnorm.norms.backends.interface import Components, Learning, Pass, Rule
from mmdet_ltnorm.norms.components import MixtureOfBatchNorms
from mmdet_ltnorm.norms.diagnostics import have_collapsed, mixture_report
from mmdet_ltnorm.norms.mixture import MixtureNorm, normalized
from mmdet_ltnorm.norms.operators import cbn_forward, cbn_learn
from mmdet_ltnorm.norms.recomputation import TrainingPass, TrainingPasses, recomputing
from mmdet_ltnorm.split import active_groups

BATCHES_BETWEEN_CHECKS = 1000


@MODELS.register_module()
class CBN(MixtureOfBatchNorms):
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
    component (Algorithm 3), and to it alone: k is 0 (Eq. 17, 18), and each group has a batch norm
    of its own. In a distributed run the sums over pixels run over all ranks, so that
    N ranks equal one big batch; as with SyncBN, all ranks have to run the layer. A batch of one
    pixel is normalized with the stored statistics, which it leaves alone, and so is a component
    that gets less than one, and in a split pass one that gets less than two. A batch with NaN or
    infinite numbers leaves them alone, too: its output is NaN, as batch norm's, the next one's not.
    The layer warns of it when it next looks, every 1000 batches.

    A fresh layer has :math:`\gamma = 1, \beta = 0`, equal priors, and components that lie 0.1
    standard deviations around the mean of the first training batch, the same on every rank and in
    every run. Plain batch norm checkpoints load, with components that lie like that around the
    loaded mean and with biases that keep the function in evaluation up to rounding.

    The printed algorithm normalizes with the stored statistics; that does not train even with one
    component. ``literal`` takes the order of the paper's Section 3.1 and trains, worse than the
    default.

    Args:
        momentum: weight of the batch in the stored statistics; with ``literal``, of the old ones.
        num_components: M.
        temperature: T, a number or ``'sqrt_channels'``; above 1 it makes w softer.
        shrinkage: k. Every pixel counts k more for every component, so that none is empty; not in
            split passes. By default 0.1, which suits the last norms of residual blocks, with
            ``literal`` 0; in all layers take 1.
        literal: normalize in training with the stored statistics after their update, of which they
            keep the share ``momentum`` (Eq. 13-15).

    Raises:
        TypeError, ValueError: options that are no numbers, or out of range; an input of other
            dimensions or channels; and what :func:`~mmdet_ltnorm.split.active_groups` raises.
        RuntimeError: gradient checkpointing repeats a pass that was too long ago.
    """

    survives_sync_bn = False  # it sums over the ranks itself
    needs_training_mode = True  # its components are estimated while it trains, and at no other time

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
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        check_norm(num_features, eps)
        checked_integer("num_components", num_components, at_least=1)
        checked_number("momentum", momentum, at_least=0, at_most=1)
        super().__init__(num_features, eps, momentum, num_components, device, dtype)
        if temperature == "sqrt_channels":
            temperature = math.sqrt(num_features)
        if isinstance(temperature, str):
            raise ValueError(f"temperature must be > 0 or 'sqrt_channels', got {temperature!r}")
        self.temperature = checked_number("temperature", temperature, above=0)
        self.literal = checked_flag("literal", literal)
        if shrinkage is None:
            shrinkage = 0.0 if literal else 0.1
        self.shrinkage = checked_number("shrinkage", shrinkage, at_least=0)

    def reset_running_stats(self) -> None:
        """Start the components afresh and forget what was learned about them."""
        super().reset_running_stats()
        self._passes = TrainingPasses()
        self._batches_until_check = BATCHES_BETWEEN_CHECKS
        self._told_of_collapse = False

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (B, C, ...)."""
        if not self.training and (torch.jit.is_tracing() or torch.compiler.is_exporting()):
            return normalized(input, self.weight, self.bias, self.running(), self._rule())
        self._check_input_dim(input)
        if torch.compiler.is_compiling() or type(input) not in (Tensor, nn.Parameter):
            return self._by_operators(input)
        if self.training:
            return self._normalize_batch(input)
        return self._by_stored(input)[0]

    def _by_operators(self, x: Tensor) -> Tensor:
        """Normalize by operators, which compilers keep whole; there are no warnings then."""
        x, training = feature_map.dense(x), self.training
        groups = active_groups(len(x), self.num_components) if training else None
        fresh = training and self.may_be_fresh()
        running, split = self.running(), groups is not None
        inputs = x, self.weight, self.bias, *running, groups, self._fresh_mean
        y, *left = cbn_forward(*inputs, *self._rule(split), fresh)
        if training:
            rate, unbiased, *others = self._learning()
            with torch.no_grad():
                cbn_learn(*running, *others, x, *left, rate, unbiased, split, fresh)
        return y

    def _normalize_batch(self, x: Tensor) -> Tensor:
        x = feature_map.dense(x)
        if recomputing():
            start, groups = self._passes.take(x.shape, feature_map.centre(x))
            stored, learning = Components.of_flat(start, self.num_components), None
        else:
            self.place(x)
            stored, groups = self.running(), active_groups(len(x), self.num_components)
            learning = self._learning()
        weight, bias, rule = self.weight, self.bias, self._rule(groups is not None)
        backend = mixture_backend(x, weight, bias, *stored)
        y, of = MixtureNorm.apply(x, weight, bias, stored, groups, rule, learning, backend)
        if learning:
            self._passes.add(TrainingPass(x.shape, of.centre, of.start, groups))
            self._watch()
        return y

    def _by_stored(self, x: Tensor) -> tuple[Tensor, Pass]:
        """Return the input normalized with the stored statistics, and what the pass leaves."""
        x, (weight, bias), stored = feature_map.dense(x), (self.weight, self.bias), self.running()
        backend = mixture_backend(x, weight, bias, *stored)
        rule = self._rule()._replace(training=False)
        return MixtureNorm.apply(x, weight, bias, stored, None, rule, None, backend)

    def _learning(self) -> Learning:
        """Return how a batch moves the stored statistics."""
        rate = 1 - self.momentum if self.literal else self.momentum
        others = self.num_batches_tracked, self.not_finite, self._sample
        return Learning(rate, not self.literal, *others)

    def _rule(self, split: bool = False) -> Rule:
        return Rule(
            eps=self.eps,
            temperature=self.temperature,
            shrinkage=0.0 if split else self.shrinkage,  # Eq. 17, 18: a group's own pixels
            kept=self.momentum if self.literal else 0.0,
            training=self.training,
        )

    def _watch(self) -> None:
        """Check the statistics once in many batches, because the host waits for the device then."""
        self._batches_until_check -= 1
        if self._batches_until_check:
            return
        self._batches_until_check = BATCHES_BETWEEN_CHECKS
        if self.not_finite.is_cuda and torch.cuda.is_current_stream_capturing():
            return
        if self.not_finite:
            self.not_finite.zero_()
            warnings.warn(
                f"{self} got NaN or infinite numbers in one of its last {BATCHES_BETWEEN_CHECKS} "
                "batches: its outputs were NaN, its stored statistics have left the batch out",
                stacklevel=2,
            )
        if self._told_of_collapse or self.num_components == 1:
            return
        if have_collapsed(self.running_mean, self.running_var, self.prior):
            self._told_of_collapse = True
            warnings.warn(
                f"the components of {self} have collapsed into one, it is batch norm now: lower "
                "its temperature or shrinkage, or train with split_by, too",
                stacklevel=2,
            )

    @torch.no_grad()
    def responsibilities(self, input: Tensor) -> Tensor:
        """Return w under the stored statistics, (B, M, ...) for pixels (B, C, ...)."""
        weights = self._by_stored(input)[1].responsibilities
        return weights.mT.reshape(len(input), *input.shape[2:], -1).movedim(-1, 1)

    @torch.no_grad()
    def diagnostics(self, responsibilities: Tensor | None = None) -> dict[str, Tensor]:
        r"""Return diagnostics of the components, for logging.

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
        if responsibilities is not None:
            rows = responsibilities.movedim(1, -1).reshape(-1, self.num_components)
        else:
            rows = self._sample[(self._sample[:, 0] != -1).cumprod(0).bool()]
        if not len(rows):
            raise ValueError(
                "diagnostics() reports on the last training batch, and there was none yet: train "
                "first, or give responsibilities(input)"
            )
        return mixture_report(self.running_mean, self.running_var, self.prior, rows)

    def extra_repr(self) -> str:
        """Add what differs from batch norm."""
        shown = f"{self.num_features}, num_components={self.num_components}, eps={self.eps}"
        shown += f", momentum={self.momentum}, temperature={self.temperature:g}"
        shown += f", shrinkage={self.shrinkage}"
        return f"{shown}, literal=True" if self.literal else shown

    def _check_input_dim(self, input: Tensor) -> None:
        if not 2 <= input.dim() <= 5 or input.shape[1] != self.num_features:
            raise ValueError(
                f"CBN({self.num_features}) takes (B, {self.num_features}) with up to three more "
                f"dimensions, got {tuple(input.shape)}"
            )


def shared_num_components(model: nn.Module) -> int:
    """Return the number of components M that all CBN layers of a network have.

    Raises:
        ValueError: it has none, or layers that differ.
    """
    found = {layer.num_components for layer in model.modules() if isinstance(layer, CBN)}
    if len(found) != 1:
        host, layers = type(model).__name__, sorted(found) or "no CBN layers"
        raise ValueError(
            f"split passes need CBN layers of one num_components, and {host} has "
            f"{layers}: give it norm_cfg=dict(type='CBN')"
        )
    return found.pop()
