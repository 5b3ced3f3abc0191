"""Variance regularization of batch norm's affine vectors (NBN paper, Table IV)."""

from collections.abc import Iterable, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdet_ltnorm.arguments import checked_number
from mmdet_ltnorm.surgery import norm_positions


def affine_variance(norms: Iterable[nn.Module]) -> Tensor:
    r"""Return :math:`\sum_l Var(\gamma_l) + Var(\beta_l)`, with 1/(C - 1), over norm layers."""
    return sum(norm.weight.var() + norm.bias.var() for norm in norms)


@HOOKS.register_module()
class VarianceRegularizationHook(Hook):
    r"""Add :math:`\tilde\alpha \sum_l Var(\gamma_l) + Var(\beta_l)` to the losses of a model.

    The NBN paper's Table IV; the sum is over batch norms of ``model.backbone``, where NBN would
    sit. Any mmengine model whose losses are a dict takes it: the term joins that dict as
    ``loss_variance`` inside the model's forward pass, so that it is logged, and scaled for mixed
    precision, accumulation and distributed training, as the other losses are.

    Args:
        alpha: the strength; the paper tries 0.1 and 1.
        positions: which batch norms; see :func:`~mmdet_ltnorm.surgery.norm_positions`.
    """

    def __init__(self, alpha: float, positions: str | Sequence[str] = "residual") -> None:
        self.alpha = checked_number("alpha", alpha, at_least=0)
        self.positions = positions

    def before_train(self, runner: Runner) -> None:
        """Find the norms and register a hook on the model."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        names = norm_positions(model.backbone, self.positions)
        self._norms = [model.backbone.get_submodule(name) for name in names]
        self._joined = model.register_forward_hook(self._add_penalty, with_kwargs=True)

    def after_train(self, runner: Runner) -> None:
        """Remove the hook."""
        self._joined.remove()

    def _add_penalty(self, model: nn.Module, args: tuple, kwargs: dict, output: Any) -> Any:
        if kwargs.get("mode") != "loss":
            return output
        return {**output, "loss_variance": self.alpha * affine_variance(self._norms)}
