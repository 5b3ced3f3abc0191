"""NBN, normalizing batch normalization (Bao et al., "Normalizing Batch Normalization", Eq. 2)."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmdet_ltnorm.arguments import check_norm, checked_flag, checked_number
from mmdet_ltnorm.norms.affine import NormalizedAffine, stored
from mmdet_ltnorm.norms.backends.chooser import nbn_backend
from mmdet_ltnorm.norms.backends.interface import Statistics
from mmdet_ltnorm.norms.backends.plain.nbn import batch_norm
from mmdet_ltnorm.norms.nbn_operators import normalized


@MODELS.register_module()
class NBN(NormalizedAffine, nn.BatchNorm2d):
    r"""Batch norm whose weight and bias vectors are normalized to one learnable magnitude.

    .. math:: y = g\,\frac{\tilde\gamma}{\|\tilde\gamma\|} \circ \hat x
              + g\,\frac{\tilde\beta}{\|\tilde\beta\|}   \qquad\text{(NBN paper, Eq. 2)}

    Statistics, shapes (N, C, H, W), training and evaluation are those of
    :class:`torch.nn.BatchNorm2d`; a batch with fewer than two values a channel has no variance and
    is normalized with the running statistics, which it leaves alone.

    The raw vectors :math:`\tilde\gamma, \tilde\beta` are the parameters stored under ``weight`` and
    ``bias``, so plain batch norm checkpoints load. *Reading* ``layer.weight`` or ``layer.bias``
    gives the effective :math:`\gamma` and :math:`\beta`: conv-BN fusion, exporters and plots are
    right without knowing NBN. Writing into the vector that was read (``init.zeros_(layer.weight)``)
    changes nothing. ``magnitude`` is g, a scalar parameter, which layers share through
    :func:`~mmdet_ltnorm.norms.share_magnitude`.

    A fresh layer has :math:`\tilde\gamma = 1`, :math:`\tilde\beta \sim N(0, 0.1^2)` and
    :math:`g = \sqrt C`, so that :math:`\gamma` starts as batch norm's. :math:`\beta` does not: it
    has the same length, a root mean square of 1 over the channels.

    Args:
        normalize: ``False`` is the ablation :math:`\gamma = g\tilde\gamma` (Table IX). The raw
            vectors and g start as they do with ``True``, so :math:`\gamma` starts as g.
        learn_magnitude: ``False`` keeps g where it starts, in a buffer (Table IX, "Fix g").
        separate_magnitudes: a second magnitude, ``bias_magnitude``, for the bias, as Eq. 2 prints.
        official: the authors' arithmetic bit for bit, ``v / (|v| + 1e-6) * g`` from
            :math:`\tilde\beta = 0`. Its first step freezes the direction of the bias; batch norm
            checkpoints load as with ``pretrained='one'``.
        initial_magnitude: g of a fresh layer: a number above 0, or ``'sqrt_channels'``, the mean of
            :math:`\sqrt C` over the layers that share it. By default ``'sqrt_channels'``, with
            ``official`` 1. When a plain batch norm checkpoint is loaded, ``pretrained`` decides.
        initial_bias_magnitude: the bias's own start, with ``separate_magnitudes`` only; it may be
            0. By default the (mean) length of the raw biases, about :math:`0.1\sqrt C`, so that
            :math:`\beta = \tilde\beta`; with ``official`` 1.
        pretrained: the value of g after a plain batch norm checkpoint is loaded. ``'preserve'``:
            the mean norm of the sharing layers' weights, with one constant for each layer and
            vector (buffers ``weight_gain``, ``bias_gain``) that keeps the network's function;
            ``'mean'``: the same g without constants; ``'one'``: g = 1, as in the authors' code.

    Raises:
        ValueError: ``affine=False`` (there is nothing to normalize), an unknown ``pretrained``, a
            invalid start of g, or a checkpoint whose layers shared g differently.
    """

    survives_sync_bn = False  # conversion takes it for batch norm and drops the magnitude

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        normalize: bool = True,
        learn_magnitude: bool = True,
        separate_magnitudes: bool = False,
        official: bool = False,
        initial_magnitude: float | str | None = None,
        initial_bias_magnitude: float | str | None = None,
        pretrained: str = "preserve",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        check_norm(num_features, eps)
        if momentum is not None:
            checked_number("momentum", momentum, at_least=0, at_most=1)
        if not checked_flag("affine", affine):
            raise ValueError("NBN normalizes the affine vectors of batch norm, got affine=False")
        checked_flag("track_running_stats", track_running_stats)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        super().__init__(num_features, eps, momentum, True, track_running_stats, **factory)
        self._add_magnitude(
            normalize=normalize,
            learn_magnitude=learn_magnitude,
            separate_magnitudes=separate_magnitudes,
            official=official,
            initial_magnitude=initial_magnitude,
            initial_bias_magnitude=initial_bias_magnitude,
            pretrained=pretrained,
        )

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (N, C, H, W)."""
        self._check_input_dim(input)
        if self._learns_from(input):
            self.num_batches_tracked.add_(1)
        used, raw = self._statistics(input), self.fusible(input)
        if raw is not None:
            return nbn_backend(input, raw, used).normalized(input, raw, used)
        if self._fuses_compiled(input):
            return normalized(input, self.raw(), used)
        return batch_norm(input, (self.weight, self.bias), used)

    def _fuses_compiled(self, input: Tensor) -> bool:
        """Tell whether compiled code calls the C++ code; on a GPU compilers fuse torch's."""
        compiles = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
        usual = self.normalize and not self.official and self.running_mean is not None
        fast = input.device.type == "cpu" and input.dtype == torch.float32
        return compiles and usual and fast and input.numel() > 0

    def _learns_from(self, input: Tensor) -> bool:
        """Tell whether the stored statistics move towards a batch's."""
        moves = self.training and self.track_running_stats
        return moves and input.numel() // self.num_features >= 2

    def _statistics(self, input: Tensor) -> Statistics:
        """Return the statistics that normalize, chosen as in batch norm."""
        moves, momentum = self._learns_from(input), self.momentum
        mean, var = self.running_mean, self.running_var
        if self.training and not self.track_running_stats:
            mean = var = None
        if momentum is None:
            momentum = 1 / float(self.num_batches_tracked) if moves else 0.0
        return Statistics(mean, var, moves or mean is None, momentum, self.eps)

    @staticmethod
    def folded_cfg(cfg: dict[str, Any]) -> dict[str, Any]:
        """Return the config of the layer that :meth:`folded` returns."""
        kept = ("eps", "momentum", "requires_grad", "track_running_stats")
        return dict(type="BN", **{name: cfg[name] for name in kept if name in cfg})

    def folded(self) -> nn.BatchNorm2d:
        """Return the plain batch norm layer that computes the same function."""
        raw = stored(self, "weight")
        plain = nn.BatchNorm2d(
            self.num_features,
            self.eps,
            self.momentum,
            track_running_stats=self.track_running_stats,
            device=raw.device,
            dtype=raw.dtype,
        )
        state = {
            name: tensor for name, tensor in self.state_dict().items() if name in plain.state_dict()
        }
        plain.load_state_dict({**state, "weight": self.weight.detach(), "bias": self.bias.detach()})
        return plain.train(self.training).requires_grad_(raw.requires_grad)
