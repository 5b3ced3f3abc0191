"""Passes over the pixels of a feature map as matrix products, in tiles that stay in the cache.

A pass multiplies matrices of pixels with matrices of components, and widens half precision tile by
tile.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from mmdet_ltnorm.norms.backends.feature_map import as_matrices, one_hot
from mmdet_ltnorm.norms.backends.interface import SMALLEST_RESPONSIBILITY, Joint

# On a CPU a tile and what is computed from it should stay in the second-level cache of each thread;
# elsewhere a tile should be worth the launches of its kernels.
TILE_BYTES = {"cpu": 2**20}
TILE_BYTES_ELSEWHERE = 2**26
# Up to this length, a longer run of adjacent pixels gains more than the cache does.
TILE_PIXELS = 2**12


def expectation(
    x: Tensor,
    joint: Joint,
    centre: Tensor,
    groups: Tensor | None,
    summed: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """See :meth:`.PixelPasses.expectation`."""
    matrices, (const, linear, square) = as_matrices(x), joint
    if groups is None:
        weights = const.new_empty(matrices.shape[0], len(const), matrices.shape[2])
    else:
        weights = one_hot(x, groups, len(const), const.dtype)
    first, second = _accumulators(matrices, weights), _accumulators(matrices, weights)
    for pixels, w in _tiles(matrices, weights):
        count, offsets = len(pixels), pixels - centre[:, None]
        squares = offsets.square()
        if groups is None:
            logits = torch.baddbmm(const, linear.expand(count, -1, -1), offsets)
            logits.baddbmm_(square.expand(count, -1, -1), squares)
            F.threshold_(torch.softmax(logits, 1, out=w), SMALLEST_RESPONSIBILITY, 0)
        if summed:
            first[:count].baddbmm_(w, offsets.mT)
            second[:count].baddbmm_(w, squares.mT)
    if not summed:
        return weights, None
    zeroth = weights.sum((0, 2))[:, None]
    return weights, torch.cat([zeroth, first.sum(0), second.sum(0)], dim=1).double()


def mixed_affine(
    x: Tensor, centre: Tensor, weights: Tensor, scale: Tensor, shift: Tensor
) -> Tensor:
    """See :meth:`.PixelPasses.mixed_affine`."""
    y = torch.empty_like(x)
    for pixels, output, w in _tiles(as_matrices(x), as_matrices(y), weights):
        result = _buffer(output, w.dtype)
        _mix(scale, w, result).mul_(pixels - centre[:, None])
        _mix(shift, w, result, add=True)
        if result is not output:
            output.copy_(result)
    return y


def gradient_sums(
    x: Tensor, centre: Tensor, gradient: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """See :meth:`.PixelPasses.gradient_sums`."""
    matrices = as_matrices(x)
    plain, weighted = _accumulators(matrices, weights), _accumulators(matrices, weights)
    for pixels, g, w in _tiles(matrices, as_matrices(gradient), weights):
        count, g = len(g), g.to(w.dtype)
        plain[:count].baddbmm_(w, g.mT)
        weighted[:count].baddbmm_(w, (g * (pixels - centre[:, None])).mT)
    return plain.sum(0), weighted.sum(0)


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
    to_x = torch.empty_like(x)
    matrices = (as_matrices(tensor) for tensor in (x, gradient, to_x))
    second = 2 * second
    for pixels, g, output, w in _tiles(*matrices, weights):
        result = _buffer(output, w.dtype)
        _mix(second, w, result).mul_(pixels - centre[:, None])
        result.addcmul_(_mix(scale, w, torch.empty_like(result)), g)
        _mix(first, w, result, add=True)
        if result is not output:
            output.copy_(result)
    return to_x


def _tiles(*matrices: Tensor) -> Iterator[list[Tensor]]:
    """Cut matrices (B, any, P) into tiles of whole samples, or of pixels of one sample.

    The first tensor has as many channels as any.
    """
    samples, channels, pixels = matrices[0].shape
    if matrices[0].numel() == 0:
        return
    device = matrices[0].device.type
    size = TILE_BYTES.get(device, TILE_BYTES_ELSEWHERE) // 4
    if device == "cpu":
        size *= torch.get_num_threads()
    step = max(size // (channels * pixels), 1)
    adjacent_channels = matrices[0].stride(1) == 1
    shortest = 1 if adjacent_channels else TILE_PIXELS
    stride = pixels if step > 1 else min(max(size // channels, shortest), pixels)
    for sample in range(0, samples, step):
        for pixel in range(0, pixels, stride):
            some = (slice(sample, sample + step), slice(None), slice(pixel, pixel + stride))
            yield [m[some[: 1 if stride == pixels else 3]] for m in matrices]


def _accumulators(matrices: Tensor, weights: Tensor) -> Tensor:
    """Return zeros (samples of a tile, M, C)."""
    samples = next((len(tile) for (tile,) in _tiles(matrices)), 0)
    return weights.new_zeros(samples, weights.shape[1], matrices.shape[1])


def _buffer(result: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the tensor itself if it has the dtype, else an empty one like it."""
    return result if result.dtype == dtype else torch.empty_like(result, dtype=dtype)


def _mix(coefficients: Tensor, weights: Tensor, out: Tensor, add: bool = False) -> Tensor:
    """Write (or add) for each pixel the mixture of coefficients (M, C) into (B, C, P)."""
    count = len(weights)
    if out.stride(1) == 1:  # channels are adjacent
        left, right, target = weights.mT, coefficients.expand(count, -1, -1), out.mT
    else:
        left, right, target = coefficients.mT.expand(count, -1, -1), weights, out
    target.baddbmm_(left, right) if add else torch.bmm(left, right, out=target)
    return out
