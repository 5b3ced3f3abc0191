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

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Add autocast to the host's context for gradient accumulation."""
        with (
            super().optim_context(model),
            torch.autocast("cpu", dtype=torch.bfloat16),
            _operators_in_float32(),
        ):
            yield


@contextmanager
def _operators_in_float32() -> Iterator[None]:
    """Run mmcv's operators in float32 inside the block; on a CPU they have no other type."""
    from mmcv.ops.nms import NMSop
    from mmcv.ops.roi_align import RoIAlign

    suppress, align = NMSop.forward, RoIAlign.forward
    NMSop.forward, RoIAlign.forward = staticmethod(_in_float32(suppress)), _in_float32(align)
    try:
        yield
    finally:
        NMSop.forward, RoIAlign.forward = staticmethod(suppress), align


def _in_float32(operator: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Convert an operator's bfloat16 arguments to float32, and its results back."""

    @functools.wraps(operator)
    def cast(*args: Any) -> Tensor:
        low = [isinstance(arg, Tensor) and arg.dtype == torch.bfloat16 for arg in args]
        result = operator(
            *(a.float() if is_low else a for a, is_low in zip(args, low, strict=True))
        )
        return result.bfloat16() if any(low) and result.is_floating_point() else result

    return cast
