"""Linear-like layers from features to logits; mmdet's heads take them as ``cls_predictor_cfg``."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from mmdet_ltnorm.arguments import checked_flag, checked_integer, checked_number


class _Predictor(nn.Linear):
    """A linear layer that checks its numbers of features."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool, device: Any, dtype: Any
    ) -> None:
        checked_integer("in_features", in_features, at_least=1)
        checked_integer("out_features", out_features, at_least=1)
        checked_flag("bias", bias)
        super().__init__(in_features, out_features, bias, device, dtype)


@MODELS.register_module()
class RectifiedLinear(_Predictor):
    r"""Linear classifier with logits rectification: each class's logit is standardized.

    .. math:: \hat z = \frac{z - \mu}{\sigma}, \quad z = Wx \qquad\text{(NBN paper, Eq. 4)}

    Training uses the batch's mean and (biased) variance of each logit and moves the running
    statistics, evaluation uses those. There is no affine part, and by default no bias, which the
    mean would cancel. A training batch with fewer than two rows has no variance: it is rectified
    with the running statistics and leaves them alone.

    Args:
        eps: added to the variance.
        momentum: weight of the new statistics.

    Shape: (..., in_features) to (..., out_features); statistics run over all leading dimensions, in
    float32 whatever the input's type.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        eps: float = 1e-5,
        momentum: float = 0.1,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self.eps = checked_number("eps", eps, above=0)
        self.momentum = checked_number("momentum", momentum, at_least=0, at_most=1)
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        self.register_buffer("running_mean", torch.zeros(out_features, device=device, dtype=wide))
        self.register_buffer("running_var", torch.ones(out_features, device=device, dtype=wide))

    def forward(self, input: Tensor) -> Tensor:
        """Return the rectified logits."""
        if input.dim() != 2:
            rows = self(input.reshape(-1, self.in_features))
            return rows.reshape(*input.shape[:-1], self.out_features)
        # Batch norm alone is one operation each way: it widens narrow logits as it reads them.
        return F.batch_norm(
            super().forward(input),
            self.running_mean,
            self.running_var,
            training=self.training and len(input) > 1,
            momentum=self.momentum,
            eps=self.eps,
        )

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        r"""Return evaluation's plain linear layer: :math:`W/\sigma` and :math:`(b-\mu)/\sigma`."""
        scale = (self.running_var + self.eps).rsqrt()
        plain = nn.Linear(
            self.in_features, self.out_features, device=self.weight.device, dtype=self.weight.dtype
        )
        bias = 0 if self.bias is None else self.bias
        plain.weight.copy_(self.weight * scale[:, None])
        plain.bias.copy_((bias - self.running_mean) * scale)
        return plain.train(self.training).requires_grad_(self.weight.requires_grad)

    @staticmethod
    def folded_cfg(cfg: dict[str, Any]) -> dict[str, Any]:
        """Return the config of the layer that :meth:`folded` returns."""
        return dict(type="Linear")

    def extra_repr(self) -> str:
        """Add what differs from a linear layer."""
        return f"{super().extra_repr()}, eps={self.eps}, momentum={self.momentum}"


@MODELS.register_module()
class TauNormLinear(_Predictor):
    r"""Linear classifier whose class weights are normalized to a common length, by a power of it.

    .. math:: z_c = \frac{w_c^\top x}{\|w_c\|^\tau}

    after Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition",
    Section 4.3. With tau = 0 it is linear, with tau = 1 all weights have length 1. It can be
    trained, or take the weights of a trained linear layer, whose keys are the same; as in the
    paper's code there is by default no bias, and a checkpoint's is left out.

    Shape: (..., in_features) to (..., out_features).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        tau: float = 1.0,
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self.tau = checked_number("tau", tau, at_least=0)

    def forward(self, input: Tensor) -> Tensor:
        """Return the logits."""
        length = self.weight.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return F.linear(input, self.weight / length**self.tau, self.bias)

    @staticmethod
    def folded_cfg(cfg: dict[str, Any]) -> dict[str, Any]:
        """Return the config of the layer that :meth:`folded` returns."""
        return dict(type="Linear")

    def extra_repr(self) -> str:
        """Add what differs from a linear layer."""
        return f"{super().extra_repr()}, tau={self.tau}"


@MODELS.register_module()
class LWSLinear(_Predictor):
    r"""Linear classifier that is frozen and learns one scale for each class.

    .. math:: z = s \circ (Wx + b)

    Learnable weight scaling of Kang et al., "Decoupling Representation and Classifier for
    Long-Tailed Recognition", Section 4.3; s starts as 1. W and b have the keys of a linear layer,
    and are those of the first stage's checkpoint: the optimizer never moves them.

    Shape: (..., in_features) to (..., out_features).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self.requires_grad_(False)
        self.scale = nn.Parameter(torch.ones(out_features, device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        """Return the scaled logits."""
        return self.scale * super().forward(input)
