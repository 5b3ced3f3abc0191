"""Mixed precision on a CPU, where mmengine's ``AmpOptimWrapper`` refuses to run."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import Tensor, nn


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Autocast to bfloat16 on the CPU. Its range is float32's, so no loss is scaled."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        from mmcv.ops.nms import NMSop
        from mmcv.ops.roi_align import RoIAlign

        # mmcv compiles these for the CPU in float32 alone.
        NMSop.forward = staticmethod(_in_float32(NMSop.forward))
        RoIAlign.forward = _in_float32(RoIAlign.forward)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Add autocast to the host's context for gradient accumulation."""
        with super().optim_context(model), torch.autocast("cpu", dtype=torch.bfloat16):
            yield


def _in_float32(operator: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let an operator see bfloat16 tensors as float32, and return bfloat16 where it had it."""

    if hasattr(operator, "__wrapped__"):  # an earlier optimizer's work
        return operator

    @functools.wraps(operator)
    def cast(*args: Any) -> Tensor:
        low = [isinstance(arg, Tensor) and arg.dtype == torch.bfloat16 for arg in args]
        result = operator(
            *(a.float() if is_low else a for a, is_low in zip(args, low, strict=True))
        )
        return result.bfloat16() if any(low) and result.is_floating_point() else result

    return cast
