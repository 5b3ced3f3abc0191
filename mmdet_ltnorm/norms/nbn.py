"""NBN, normalizing batch normalization (Bao et al., "Normalizing Batch Normalization", Eq. 2)."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from mmdet_ltnorm.norms.functional import official_unit_vector, rescaled
from mmdet_ltnorm.norms.magnitude import calibrate, stored

PRETRAINED = ("preserve", "mean", "one")


@MODELS.register_module()
class NBN(nn.BatchNorm2d):
    r"""Batch norm whose weight and bias vectors are normalized to one learnable magnitude.

    .. math:: y = g\,\frac{\tilde\gamma}{\|\tilde\gamma\|} \circ \hat x
              + g\,\frac{\tilde\beta}{\|\tilde\beta\|}   \qquad\text{(NBN paper, Eq. 2)}

    Statistics, shapes (N, C, H, W), training and evaluation are those of
    :class:`torch.nn.BatchNorm2d`; a batch with fewer than two values a channel has no variance and
    is normalized with the running statistics, which it leaves alone.

    The raw vectors :math:`\tilde\gamma, \tilde\beta` are the parameters stored under ``weight`` and
    ``bias``, so plain batch norm checkpoints load. *Reading* ``layer.weight`` or ``layer.bias``
    gives the effective :math:`\gamma` and :math:`\beta`: conv-BN fusion, exporters and plots are
    right without knowing NBN, and writing into what was read (``init.zeros_(layer.weight)``)
    changes nothing. ``magnitude`` is g, a scalar parameter, which layers share through
    :func:`~mmdet_ltnorm.norms.share_magnitude`.

    A fresh layer has :math:`\tilde\gamma = 1`, :math:`\tilde\beta \sim N(0, 0.1^2)` and
    :math:`g = \sqrt C`, so that :math:`\gamma` starts as batch norm's.

    Args:
        normalize: ``False`` is the ablation :math:`\gamma = g\tilde\gamma`, g from 1 (Table IX).
        learn_magnitude: ``False`` keeps g where it starts, in a buffer (Table IX, "Fix g").
        separate_magnitudes: a second magnitude, ``bias_magnitude``, for the bias, as Eq. 2 prints.
        official: the authors' arithmetic bit for bit, ``v / (|v| + 1e-6) * g`` from g = 1 and
            :math:`\tilde\beta = 0`. Its first step freezes the direction of the bias; batch norm
            checkpoints load as with ``pretrained='one'``.
        pretrained: what becomes of g when a plain batch norm checkpoint is loaded. ``'preserve'``:
            the mean norm of the sharing layers' weights, with one constant for each layer and
            vector (buffers ``weight_gain``, ``bias_gain``) that keeps the network's function;
            ``'mean'``: the same g without constants; ``'one'``: g = 1, as in the authors' code.

    Raises:
        ValueError: ``affine=False`` (there is nothing to normalize), an unknown ``pretrained``, or
            a checkpoint whose layers shared g differently.
    """

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
        pretrained: str = "preserve",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if not affine:
            raise ValueError("NBN normalizes the affine vectors of batch norm, got affine=False")
        if pretrained not in PRETRAINED:
            raise ValueError(f"pretrained must be one of {PRETRAINED}, got {pretrained!r}")
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        super().__init__(num_features, eps, momentum, True, track_running_stats, **factory)
        self.normalize = normalize
        self.learn_magnitude = learn_magnitude
        self.separate_magnitudes = separate_magnitudes
        self.official = official
        self.pretrained = pretrained
        # A tuple hides the layers from nn.Module, so sharing adds no children and no state-dict
        # keys; the last layer owns the magnitude. Reading it through the owner, not through a
        # second reference to the parameter, survives everything that replaces parameters.
        self.sharing: tuple[NBN, ...] = (self,)
        self.register_buffer("weight_gain", torch.ones((), **factory))
        self.register_buffer("bias_gain", torch.ones((), **factory))
        for name in self._magnitude_names():
            magnitude = torch.ones((), **factory)
            if learn_magnitude:
                self.register_parameter(name, nn.Parameter(magnitude))
            else:
                self.register_buffer(name, magnitude)
        self.reset_parameters()

    @property
    def weight(self) -> Tensor:
        """Effective γ, shape (C,)."""
        return self._effective(stored(self, "weight"), self.magnitude, self.weight_gain)

    @property
    def bias(self) -> Tensor:
        """Effective β, shape (C,)."""
        magnitude = self.bias_magnitude if self.separate_magnitudes else self.magnitude
        return self._effective(stored(self, "bias"), magnitude, self.bias_gain)

    @property
    def magnitude(self) -> Tensor:
        """The shared g: a 0-dim parameter of the last layer in ``sharing``."""
        return stored(self.sharing[-1], "magnitude")

    @property
    def bias_magnitude(self) -> Tensor:
        """The bias's own g, with ``separate_magnitudes`` only."""
        return stored(self.sharing[-1], "bias_magnitude")

    def _effective(self, raw: Tensor, magnitude: Tensor, gain: Tensor) -> Tensor:
        if not self.normalize:
            return raw * (magnitude * gain)
        if self.official:
            return official_unit_vector(raw) * magnitude
        return rescaled(raw, magnitude, gain)

    def _magnitude_names(self) -> tuple[str, ...]:
        return ("magnitude", "bias_magnitude")[: 1 + self.separate_magnitudes]

    def reset_parameters(self) -> None:
        """Start the statistics, the raw vectors and the magnitude of all sharing layers afresh."""
        self.reset_running_stats()
        if "sharing" not in self.__dict__:  # the base class's constructor; ours calls again
            return
        nn.init.ones_(stored(self, "weight"))
        if self.official:
            nn.init.zeros_(stored(self, "bias"))
        else:
            nn.init.normal_(stored(self, "bias"), std=0.1)
        calibrate(self.sharing, "mean")

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (N, C, H, W)."""
        self._check_input_dim(input)
        values_per_channel = input.numel() // self.num_features
        if self.training and self.track_running_stats and values_per_channel < 2:
            mean, var = self.running_mean, self.running_var
            return F.batch_norm(input, mean, var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)

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

    def extra_repr(self) -> str:
        """Add what differs from batch norm."""
        usual = {"normalize": True, "learn_magnitude": True, "separate_magnitudes": False}
        usual |= {"official": False}
        unusual = [
            f"{name}={not value}" for name, value in usual.items() if getattr(self, name) != value
        ]
        return ", ".join([super().extra_repr(), f"sharing={len(self.sharing)}", *unusual])

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        from_batch_norm = (
            prefix + "weight" in state_dict and prefix + "weight_gain" not in state_dict
        )
        if not from_batch_norm:
            self._check_same_sharing(state_dict, prefix)
        missing: list[str] = []
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing, unexpected_keys, error_msgs
        )
        if from_batch_norm:
            ours = {
                prefix + name for name in ("weight_gain", "bias_gain", *self._magnitude_names())
            }
            missing = [key for key in missing if key not in ours]
            calibrate(self.sharing, self.pretrained)
        missing_keys.extend(missing)

    def _check_same_sharing(self, state_dict: dict[str, Any], prefix: str) -> None:
        if prefix + "weight" not in state_dict:
            return
        saved = {name for name in ("magnitude", "bias_magnitude") if prefix + name in state_dict}
        expected = set(self._magnitude_names()) if self.sharing[-1] is self else set()
        if saved != expected:
            raise ValueError(
                f"{prefix[:-1]}: the NBN checkpoint stores {sorted(saved) or 'no magnitude'} "
                f"here, this model {sorted(expected) or 'none'}: build it with the checkpoint's "
                "positions, share and separate_magnitudes"
            )
