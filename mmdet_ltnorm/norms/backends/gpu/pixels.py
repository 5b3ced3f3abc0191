"""Passes over the pixels of a feature map as Triton kernels.

They read and write a feature map as often as batch norm does: forward reads the input twice and
writes once, backward reads input and gradient twice and writes once. Numbers are widened to float32
as they are read. Each program writes partial sums over its pixels; these are then added in a fixed
order and in float64, so that results are the same in every run.
"""

from collections.abc import Callable
from functools import wraps
from math import gcd
from typing import Any

import torch
import triton
from torch import Tensor

from mmdet_ltnorm.norms.backends.feature_map import as_matrices, one_hot
from mmdet_ltnorm.norms.backends.gpu import pixel_kernels as kernels
from mmdet_ltnorm.norms.backends.interface import SMALLEST_RESPONSIBILITY, Joint

WARPS = 8
# Sixteen numbers for each thread: enough loads under way, and registers left for the sums.
TILE = WARPS * 32 * 16
# Two for each multiprocessor of an H100; with fewer, some would be idle.
PROGRAMS = 256


def _on_its_device(launch: Callable) -> Callable:
    """Make a function launch its kernels on the device of its first argument."""

    @wraps(launch)
    def guarded(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        with torch.cuda.device_of(x):
            return launch(x, *args, **kwargs)

    return guarded


@_on_its_device
def expectation(
    x: Tensor,
    joint: Joint,
    centre: Tensor,
    groups: Tensor | None,
    summed: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """See :meth:`.PixelPasses.expectation`."""
    matrices, dtype = as_matrices(x), joint[0].dtype
    (samples, channels, pixels), components = matrices.shape, len(joint[0])
    if groups is None:
        weights = joint[0].new_empty(samples, components, pixels)
        share = _share(samples * pixels)
        programs = triton.cdiv(samples * pixels, share)
        partial = weights.new_empty(programs, 2, components, channels) if summed else None
        kernels.expectation[(programs,)](
            matrices,
            weights,
            partial,
            *(each.contiguous() for each in joint),
            centre,
            _geometry(matrices),
            SMALLEST_RESPONSIBILITY,
            **_layout(matrices, weights),
            **_block(matrices, weights, share),
            **_tile(matrices, share, _summed_tile(weights)),
        )
    else:
        weights = one_hot(x, groups, components, dtype)
        partial = _partial_sums(matrices, centre, None, weights) if summed else None
    if not summed:
        return weights, None
    zeroth = weights.sum((0, 2), dtype=torch.float64)[:, None]
    return weights, torch.cat([zeroth, *partial.sum(0, dtype=torch.float64)], dim=1)


@_on_its_device
def mixed_affine(
    x: Tensor, centre: Tensor, weights: Tensor, scale: Tensor, shift: Tensor
) -> Tensor:
    """See :meth:`.PixelPasses.mixed_affine`."""
    return _mixed(x, centre, None, weights, None, shift, scale)


@_on_its_device
def gradient_sums(
    x: Tensor, centre: Tensor, gradient: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """See :meth:`.PixelPasses.gradient_sums`."""
    partial = _partial_sums(as_matrices(x), centre, as_matrices(gradient), weights)
    plain, weighted = partial.sum(0)
    return plain, weighted


@_on_its_device
def input_gradient(
    x: Tensor,
    centre: Tensor,
    gradient: Tensor,
    weights: Tensor,
    scale: Tensor,
    first: Tensor,
    second: Tensor,
) -> Tensor:
    """See :meth:`.PixelPasses.input_gradient`."""
    return _mixed(x, centre, gradient, weights, scale, first, second)


def _mixed(
    x: Tensor,
    centre: Tensor,
    gradient: Tensor | None,
    weights: Tensor,
    scale: Tensor | None,
    first: Tensor,
    second: Tensor,
) -> Tensor:
    """Return what :func:`~mmdet_ltnorm.norms.backends.gpu.pixel_kernels.mix` writes."""
    matrices, result = as_matrices(x), torch.empty_like(x)
    if first.stride(1) != 1 or first.stride() != second.stride():
        first, second = first.contiguous(), second.contiguous()
    total, channels = weights[:, 0].numel(), x.shape[1]
    tile = _tile(matrices, total, TILE, least_pixels=4)
    grid = (triton.cdiv(total, tile["PIXELS"]), triton.cdiv(channels, tile["CHANNELS"]))
    kernels.mix[grid](
        matrices,
        None if gradient is None else as_matrices(gradient),
        as_matrices(result),
        weights,
        centre,
        None if scale is None else scale.contiguous(),
        first,
        second,
        first.stride(0),
        _geometry(matrices),
        **_layout(matrices, weights),
        **tile,
    )
    return result


def _partial_sums(
    matrices: Tensor, centre: Tensor, gradient: Tensor | None, weights: Tensor
) -> Tensor:
    """Return each program's Σ w o and Σ w o², or Σ w g and Σ w g o, (programs, 2, M, C)."""
    total, channels, components = weights[:, 0].numel(), matrices.shape[1], weights.shape[1]
    tile = _tile(matrices, total, _summed_tile(weights))
    blocks = triton.cdiv(channels, tile["CHANNELS"])
    programs = min(triton.cdiv(4 * PROGRAMS, blocks), triton.cdiv(total, tile["PIXELS"]))
    partial = weights.new_empty(programs, 2, components, channels)
    kernels.sums[(programs, blocks)](
        matrices,
        gradient,
        weights,
        partial,
        centre,
        _geometry(matrices),
        **_layout(matrices, weights),
        **tile,
    )
    return partial


def _share(total: int) -> int:
    """Return the number of pixels for which one program goes through all channels."""
    return max(16, min(128, triton.next_power_of_2(total // PROGRAMS)))


def _block(matrices: Tensor, weights: Tensor, share: int) -> dict[str, int]:
    """Return the sizes of the tiles in which a program goes through all channels of its pixels."""
    channels = triton.next_power_of_2(matrices.shape[1])
    block = min(channels, _summed_tile(weights) // share)
    return dict(SHARE=share, BLOCK=block, ROWS=triton.next_power_of_2(weights.shape[1]))


def _summed_tile(weights: Tensor) -> int:
    """Return the size of a tile whose sums, one or two for each component, stay in registers."""
    return TILE // (2 if weights.shape[1] <= 4 else 4)


def _geometry(matrices: Tensor) -> tuple[int, int, int]:
    """Return the number of all pixels, of a sample's pixels and of channels."""
    samples, channels, pixels = matrices.shape
    return samples * pixels, pixels, channels


def _layout(matrices: Tensor, weights: Tensor) -> dict[str, Any]:
    """Return the number of components, and how a feature map lies in memory.

    Its rows of adjacent numbers are channels if these are ``LAST`` in memory, else pixels; ``ROW``
    numbers are read at once.
    """
    last = matrices.stride(1) == 1
    return dict(M=weights.shape[1], ROW=_at_once(matrices), LAST=last, num_warps=WARPS)


def _at_once(matrices: Tensor) -> int:
    """Return how many adjacent numbers are read at once: 16 bytes, or what divides a row."""
    row = matrices.shape[1 if matrices.stride(1) == 1 else 2]
    return gcd(row, 16 // matrices.element_size())


def _tile(matrices: Tensor, pixels: int, numbers: int, least_pixels: int = 1) -> dict[str, int]:
    """Return the sizes of a tile, given the largest number of its pixels and of its numbers.

    Each warp reads a run of adjacent numbers. Kernels read coefficients for each channel of a
    thread; so where a thread would have too few pixels of a channel, all warps read one run.
    """
    channels = triton.next_power_of_2(matrices.shape[1])
    run = 32 * _at_once(matrices)
    pixels = min(triton.next_power_of_2(pixels), numbers)
    if matrices.stride(1) == 1:
        channels = min(channels, run)
        return dict(PIXELS=min(pixels, numbers // channels), CHANNELS=channels)
    if _at_once(matrices) < least_pixels:
        run = numbers // least_pixels
    pixels = min(pixels, run)
    return dict(PIXELS=pixels, CHANNELS=min(channels, numbers // pixels))
