"""Passes over the pixels of a feature map, in tiles that stay in the cache.

A pass multiplies matrices of pixels with matrices of components. It makes no tensor as large as the
feature map but its result, and widens half precision tile by tile. Pixels are taken as offsets from
a point among them, the centre: differences of large numbers would leave rounding errors alone.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

# On a CPU a tile and what is computed from it should stay in the second-level cache of each thread;
# elsewhere a tile should be worth the launches of its kernels.
TILE_BYTES = {"cpu": 2**20}
TILE_BYTES_ELSEWHERE = 2**26
# Runs of adjacent pixels are worth more than the cache up to this length.
TILE_PIXELS = 2**12
# Responsibilities below this are zero: denormal numbers would make the products ten times slower.
SMALLEST_RESPONSIBILITY = 1e-20


def dense(x: Tensor) -> Tensor:
    """Return the tensor itself if it is contiguous or channels-last, else a contiguous copy."""
    return x if x.movedim(1, -1).is_contiguous() else x.contiguous()


def like(tensor: Tensor, x: Tensor) -> Tensor:
    """Return the tensor in the memory format of a dense one of the same shape."""
    return tensor if tensor.stride() == x.stride() else torch.empty_like(x).copy_(tensor)


def as_matrices(x: Tensor) -> Tensor:
    """View a dense tensor (B, C, ...) as matrices of pixels, (B, C, P).

    Where the channels are adjacent in memory it is one matrix of all pixels, (1, C, P).
    """
    rows = x.movedim(1, -1)
    if rows.is_contiguous():
        return rows.view(-1, x.shape[1]).mT[None]
    return x.flatten(2)


def centre(x: Tensor) -> Tensor:
    """Return a point among the pixels, (C,): the mean of some samples' middle ones.

    It is of the type that the passes compute in, so that all of them mean the same point.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    if x.numel() == 0:
        return x.new_zeros(x.shape[1], dtype=dtype)
    middle = (slice(4), slice(None), *(size // 2 for size in x.shape[2:]))
    return x.detach()[middle].to(dtype).mean(0)


def one_hot(x: Tensor, groups: Tensor, components: int, dtype: torch.dtype) -> Tensor:
    """Return the responsibilities (B, M, P) of pixels that belong to their sample's group."""
    samples, _, pixels = as_matrices(x).shape
    rows = F.one_hot(groups.to(x.device), components).to(dtype)
    rows = rows.repeat_interleave(x[0, 0].numel() if len(x) else 0, dim=0)
    return rows.view(samples, pixels, components).mT.contiguous()


def sample(weights: Tensor) -> Tensor:
    """Return the responsibilities of at most 4096 evenly spaced pixels, (B, M, fewer)."""
    samples, _, pixels = weights.shape
    return weights[:: samples // 4096 + 1, :, :: samples * pixels // 4096 + 1].clone()


def expectation(
    x: Tensor,
    joint: tuple[Tensor, Tensor, Tensor],
    centre: Tensor,
    groups: Tensor | None,
    summed: bool = True,
) -> tuple[Tensor, Tensor | None]:
    r"""Return the responsibilities (B, M, P) and, in float64, sums over the pixels (M, 1 + 2C).

    With offsets o = x - centre, the responsibilities are the softmax of const + linear · o +
    square · o², or one-hot where each sample's group is given; the sums are
    :math:`\sum_i w_i o_i^n`, n = 0, 1, 2, side by side, or None where nobody needs them.

    Args:
        joint: const (M, 1), linear (M, C) and square (M, C).
    """
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
    """Return o · Σ w scale + Σ w shift of offsets o = x - centre, in x's format and dtype."""
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
    """Return Σ w g and Σ w g · (x - centre), (M, C) each."""
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
    """Return g · Σ w scale + Σ w first + 2 o · Σ w second of offsets o = x - centre.

    It is in x's format and dtype.
    """
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


def logit_gradient(
    x: Tensor,
    centre: Tensor,
    gradient: Tensor,
    weights: Tensor,
    affine: tuple[Tensor, Tensor],
    sums: Tensor,
) -> Tensor:
    """Return the gradient of the responsibilities' logits (B, M, P).

    Args:
        affine: scale and shift (M, C), through which the responsibilities act on the output.
        sums: the gradient (M, 1 + 2C) of the sums that :func:`expectation` returns.
    """
    zeroth, to_sums = sums[:, :1], sums[:, 1:]
    to_output = torch.cat(affine, dim=1)
    output = torch.empty_like(weights)
    for pixels, g, w, result in _tiles(as_matrices(x), as_matrices(gradient), weights, output):
        count, g = len(g), g.to(w.dtype)
        offset = pixels - centre[:, None]
        powers = torch.cat([offset, offset.square()], dim=1)
        through = torch.baddbmm(zeroth, to_sums.expand(count, -1, -1), powers)
        through.baddbmm_(to_output.expand(count, -1, -1), torch.cat([offset * g, g], dim=1))
        result.copy_(w * (through - (w * through).sum(1, keepdim=True)))
    return output


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
