"""NBN's normalized affine part on other norms: experiments, in neither paper."""

from typing import Any

from mmengine.registry import MODELS
from torch import nn

from mmdet_ltnorm.arguments import check_norm, checked_integer
from mmdet_ltnorm.norms.affine import NormalizedAffine
from mmdet_ltnorm.norms.cbn import CBN


@MODELS.register_module()
class NCBN(NormalizedAffine, CBN):
    """CBN whose components' weights and biases all have one learnable length (experimental).

    Each row of the raw vectors (M, C) is normalized as NBN's; ``weight_gain`` and ``bias_gain`` are
    of shape (M,). Arguments are CBN's, and NBN's ``initial_magnitude``. Checkpoints of batch norm
    and of CBN load with their function.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        *,
        initial_magnitude: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_features, eps, **kwargs)
        self._add_magnitude(initial_magnitude=initial_magnitude)


@MODELS.register_module()
class NGN(NormalizedAffine, nn.GroupNorm):
    """Group norm with NBN's weight and bias (experimental); one group is layer norm of images.

    Checkpoints of group norm load with their function.
    """

    def __init__(
        self,
        num_features: int,
        num_groups: int,
        eps: float = 1e-5,
        *,
        initial_magnitude: float | str | None = None,
        **factory: Any,
    ) -> None:
        check_norm(num_features, eps)
        checked_integer("num_groups", num_groups, at_least=1)
        super().__init__(num_groups, num_features, eps, **factory)
        self._add_magnitude(initial_magnitude=initial_magnitude)


@MODELS.register_module()
class NLN(NormalizedAffine, nn.LayerNorm):
    """Layer norm of the last dimension, as transformers have it, with NBN's weight and bias.

    Experimental. Checkpoints of layer norm load with their function.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        *,
        initial_magnitude: float | str | None = None,
        **factory: Any,
    ) -> None:
        check_norm(num_features, eps)
        super().__init__(num_features, eps, **factory)
        self._add_magnitude(initial_magnitude=initial_magnitude)
