"""Batch norm followed by another normalization: norms that the NBN paper compares with."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import build_norm_layer
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmdet_ltnorm.arguments import check_norm, checked_integer, checked_number
from mmdet_ltnorm.norms.backends.precision import widened


@MODELS.register_module()
class BNThen(nn.BatchNorm2d):
    """Batch norm, and a second norm of its output (NBN paper, Tables XII and XIII).

    ::

        norm_cfg=dict(type='BNThen', then=dict(type='IN', affine=True))

    Keys of checkpoints are batch norm's and, under ``then.``, the second norm's. It is no batch
    norm to what converts or fuses those: ``sync_bn`` is refused, and conv-BN fusion has to leave it
    out.

    Args:
        then: config of the second norm; ``dict(type='GN', num_groups=1)`` is layer norm.
    """

    survives_sync_bn = False  # conversion takes it for batch norm and drops the second norm

    def __init__(
        self, num_features: int, eps: float = 1e-5, *, then: dict[str, Any], **kwargs: Any
    ) -> None:
        check_norm(num_features, eps)
        if kwargs.get("momentum") is not None:
            checked_number("momentum", kwargs["momentum"], at_least=0, at_most=1)
        super().__init__(num_features, eps, **kwargs)
        self.then = build_norm_layer(then, num_features)[1]

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (N, C, H, W) twice."""
        return self.then(super().forward(input))


@MODELS.register_module()
class FeatureNorm(nn.Module):
    r"""Feature normalization: each sample is divided by its root mean square over some dimensions.

    .. math:: y = x \Big/ \sqrt{\tfrac1n \textstyle\sum x^2 + \epsilon}

    The NBN paper's Table XII normalizes "across the dimensions of [C] and [C, H, W]" and gives no
    formula. This one gives vectors the length :math:`\sqrt n`, and so leaves the strength of batch
    norm's output; with length 1 features would be as weak as in the row "Fix g" of Table IX, 17.3.
    It has no parameters, and is the same in training and evaluation.

    Args:
        dims: the dimensions of (N, C, H, W) to normalize over: [1] or [1, 2, 3].
    """

    def __init__(self, num_features: int, dims: Sequence[int], eps: float = 1e-5) -> None:
        super().__init__()
        check_norm(num_features, eps)
        self.dims = tuple(checked_integer("dims", dim, at_least=1) for dim in dims)
        self.eps = eps

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (N, C, H, W)."""
        wide = widened(input)
        scale = wide.square().mean(self.dims, keepdim=True).add(self.eps).rsqrt()
        return (wide * scale).to(input.dtype)

    def extra_repr(self) -> str:
        """Name the dimensions."""
        return f"dims={self.dims}, eps={self.eps}"
