"""Weight and bias normalized to one magnitude g, whichever statistics the norm layer uses.

Layers share g; functions set its start, and its value after a checkpoint is loaded.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmdet_ltnorm.arguments import checked_choice, checked_flag
from mmdet_ltnorm.norms.backends.fusing import may_fuse
from mmdet_ltnorm.norms.backends.interface import DIRECTION_FLOOR, RawAffine
from mmdet_ltnorm.norms.backends.plain.nbn import official_unit_vector, rescaled
from mmdet_ltnorm.norms.backends.precision import widened

PRETRAINED = ("preserve", "mean", "one")
SQRT_CHANNELS = "sqrt_channels"
# The options that must be equal in all layers that share a magnitude.
OPTIONS = (
    *("normalize", "learn_magnitude", "separate_magnitudes", "official", "pretrained"),
    *("initial_magnitude", "initial_bias_magnitude"),
)


class NormalizedAffine(nn.Module):
    r"""Weight and bias normalized to one learnable magnitude; inherited before a norm layer.

    ``class NGN(NormalizedAffine, nn.GroupNorm)`` is group norm with NBN's affine part: after the
    layer's own constructor, one calls :meth:`_add_magnitude`. The raw vectors are the parameters
    stored under ``weight`` and ``bias``, shape (..., C), each row a vector of its own; reading
    ``layer.weight`` or ``layer.bias`` gives the effective ones. :class:`~mmdet_ltnorm.norms.NBN`
    tells the rest.
    """

    def _add_magnitude(
        self,
        *,
        normalize: bool = True,
        learn_magnitude: bool = True,
        separate_magnitudes: bool = False,
        official: bool = False,
        pretrained: str = "preserve",
        initial_magnitude: float | str | None = None,
        initial_bias_magnitude: float | str | None = None,
    ) -> None:
        """Add the magnitude and the gains, and start the raw vectors; see NBN's arguments."""
        checked_choice("pretrained", pretrained, PRETRAINED)
        checked_flag("separate_magnitudes", separate_magnitudes)
        checked_flag("official", official)
        if initial_bias_magnitude is not None and not separate_magnitudes:
            raise ValueError(
                f"initial_bias_magnitude={initial_bias_magnitude!r} is the start of a magnitude "
                "that this layer does not have: set separate_magnitudes=True, or give "
                "initial_magnitude alone, which is the bias's too"
            )
        if initial_magnitude is None:
            initial_magnitude = 1.0 if official else SQRT_CHANNELS
        if initial_bias_magnitude is None and official and separate_magnitudes:
            initial_bias_magnitude = 1.0
        check_start("initial_magnitude", initial_magnitude, "above 0")
        if initial_bias_magnitude is not None:
            check_start("initial_bias_magnitude", initial_bias_magnitude, "from 0 on")
        self.initial_magnitude = initial_magnitude
        self.initial_bias_magnitude = initial_bias_magnitude
        self.normalize = checked_flag("normalize", normalize)
        self.learn_magnitude = checked_flag("learn_magnitude", learn_magnitude)
        self.separate_magnitudes = separate_magnitudes
        self.official = official
        self.pretrained = pretrained
        # A tuple hides the layers from nn.Module, so sharing adds no children and no state-dict
        # keys; the last layer owns the magnitude. Reading it through the owner, not through a
        # second reference to the parameter, survives everything that replaces parameters.
        self.sharing: tuple[NormalizedAffine, ...] = (self,)
        raw = stored(self, "weight").detach()
        for name in ("weight_gain", "bias_gain"):
            self.register_buffer(name, raw.new_ones(raw.shape[:-1]))
        for name in self._magnitude_names():
            magnitude = raw.new_ones(())
            if learn_magnitude:
                self.register_parameter(name, nn.Parameter(magnitude))
            else:
                self.register_buffer(name, magnitude)
        self.reset_parameters()

    @property
    def weight(self) -> Tensor:
        """Effective γ, shape (..., C)."""
        return self._effective(stored(self, "weight"), self.magnitude, self.weight_gain)

    @property
    def bias(self) -> Tensor:
        """Effective β, shape (..., C)."""
        magnitude = self.bias_magnitude if self.separate_magnitudes else self.magnitude
        return self._effective(stored(self, "bias"), magnitude, self.bias_gain)

    def fusible(self, input: Tensor) -> RawAffine | None:
        """Return the raw vectors and scalars for a fused function, None where none may be used."""
        if not self.normalize or self.official:
            return None
        raw = self.raw()
        return raw if may_fuse(input, *raw) else None

    def raw(self) -> RawAffine:
        """Return the raw vectors and scalars."""
        weight, bias = stored(self, "weight"), stored(self, "bias")
        own = self.bias_magnitude if self.separate_magnitudes else None
        return RawAffine(weight, bias, self.magnitude, own, self.weight_gain, self.bias_gain)

    @property
    def magnitude(self) -> Tensor:
        """The shared g, a 0-dim parameter of the last layer in ``sharing``."""
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
        if hasattr(self, "reset_running_stats"):
            self.reset_running_stats()
        if "sharing" not in self.__dict__:  # the host class's constructor; ours calls again
            return
        nn.init.ones_(stored(self, "weight"))
        if self.official:
            nn.init.zeros_(stored(self, "bias"))
        else:
            nn.init.normal_(stored(self, "bias"), std=0.1)
        start(self.sharing)

    def extra_repr(self) -> str:
        """Add what differs from the host class."""
        usual = {"normalize": True, "learn_magnitude": True, "separate_magnitudes": False}
        usual |= {"official": False}
        unusual = [
            f"{name}={not value}" for name, value in usual.items() if getattr(self, name) != value
        ]
        if self.initial_magnitude != (1 if self.official else SQRT_CHANNELS):
            unusual.append(f"initial_magnitude={self.initial_magnitude}")
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
        from_host = prefix + "weight" in state_dict and prefix + "weight_gain" not in state_dict
        if not from_host:
            self._check_same_sharing(state_dict, prefix)
        missing: list[str] = []
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing, unexpected_keys, error_msgs
        )
        if from_host:
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


def check_start(name: str, value: float | str, least: str) -> None:
    """Check the initial value of a magnitude.

    Args:
        name: the argument's name, for the message.
        least: ``'above 0'`` or ``'from 0 on'``.

    Raises:
        ValueError: it is neither a finite number in that range nor ``'sqrt_channels'``.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    in_range = is_number and math.isfinite(value) and value >= 0
    if value != SQRT_CHANNELS and (not in_range or (value == 0 and least == "above 0")):
        raise ValueError(f"{name} must be a number {least} or {SQRT_CHANNELS!r}, got {value!r}")


def share_magnitude(layers: Sequence[NormalizedAffine]) -> None:
    """Make fresh layers share one magnitude, owned by the last of them.

    The last layer of a network is the last to be frozen with its stage, so the shared magnitude
    trains as long as any of them does. Checkpoints are loaded afterwards.

    Raises:
        ValueError: no layers, or layers with different options.
    """
    if not layers:
        raise ValueError("share_magnitude needs at least one NBN layer, got none")
    first = [getattr(layers[0], name) for name in OPTIONS]
    for layer in layers:
        if [getattr(layer, name) for name in OPTIONS] != first:
            raise ValueError(
                f"layers that share a magnitude need equal options: {layers[0]} and {layer}"
            )
    for layer in layers[:-1]:
        for name in layer._magnitude_names():
            delattr(layer, name)
    for layer in layers:
        layer.sharing = tuple(layers)
    start(layers)


@torch.no_grad()
def start(layers: Sequence[NormalizedAffine]) -> None:
    """Set g of fresh sharing layers as they ask; see NBN's ``initial_magnitude``."""
    owner = layers[-1]
    for vector, name in zip(("weight", "bias"), owner._magnitude_names(), strict=False):
        value = getattr(owner, f"initial_{name}")
        if value == SQRT_CHANNELS:
            widths = [stored(layer, "weight").shape[-1] for layer in layers]
            value = sum(map(math.sqrt, widths)) / len(layers)
        elif value is None:
            value = torch.stack([_lengths(layer, vector) for layer in layers]).mean()
        stored(owner, name).fill_(value)
    for layer in layers:
        layer.weight_gain.fill_(1)
        layer.bias_gain.fill_(1)


@torch.no_grad()
def calibrate(layers: Sequence[NormalizedAffine], mode: str) -> None:
    """Set g and the gains of sharing layers from a plain layer's; see NBN's ``pretrained``."""
    owner = layers[-1]
    if owner.official or not owner.normalize:
        mode = "one"
    magnitudes = {}
    for vector in ("weight", "bias"):
        norms = [_lengths(layer, vector) for layer in layers]
        if vector == "weight" or owner.separate_magnitudes:
            magnitude = torch.stack(norms).mean() if mode != "one" else norms[0].new_ones(())
            magnitudes["magnitude" if vector == "weight" else "bias_magnitude"] = magnitude
        for layer, norm in zip(layers, norms, strict=True):
            gain = norm / magnitude if mode == "preserve" else torch.ones_like(norm)
            getattr(layer, f"{vector}_gain").copy_(gain)
    for name, value in magnitudes.items():
        stored(owner, name).copy_(value)


def _lengths(layer: NormalizedAffine, vector: str) -> Tensor:
    raw = widened(stored(layer, vector))
    return torch.linalg.vector_norm(raw, dim=-1).clamp_min(DIRECTION_FLOOR)


def stored(module: nn.Module, name: str) -> Tensor:
    """Return the tensor that the state dict holds under ``name``, which a property may hide."""
    if name in module._parameters:
        return module._parameters[name]
    if name in module._buffers:
        return module._buffers[name]
    raise AttributeError(f"{type(module).__name__} stores no tensor {name!r}")
