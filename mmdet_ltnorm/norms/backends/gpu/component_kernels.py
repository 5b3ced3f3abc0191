"""Triton kernels on matrices (M, C); :mod:`.components` beside it runs them.

The rows of a tile are components, padded to ``ROWS``, a power of two; its columns are channels.
Arithmetic is in float64: there is little of it, and differences of squares need it.
"""

import triton
import triton.language as tl


@triton.jit
def log_joint(
    const, linear, square, mean, var, prior, centre, channels,
    eps: "fp64", temperature: "fp64", least_prior: "fp64",  # noqa: F821
    M: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write what :meth:`.ComponentArithmetic.log_joint` returns, in one program."""
    j = tl.arange(0, ROWS)
    log_density = tl.zeros((ROWS,), tl.float64)
    for start in range(0, channels, BLOCK):
        c = start + tl.arange(0, BLOCK)
        where, real = _matrix_at(j, c, channels, M)
        mu = tl.load(mean + where, mask=real, other=0).to(tl.float64)
        variance = tl.load(var + where, mask=real, other=1).to(tl.float64) + eps
        offset = mu - tl.load(centre + c, mask=c < channels, other=0).to(tl.float64)[None, :]
        inverse = tl.where(real, 1 / (variance * temperature), 0)
        slope = offset * inverse
        terms = slope * offset + tl.where(real, tl.log(variance) / temperature, 0)
        log_density += tl.sum(terms, axis=1)
        slope -= tl.sum(slope, axis=0)[None, :] / M
        curve = -0.5 * (inverse - tl.sum(inverse, axis=0)[None, :] / M)
        tl.store(linear + where, slope.to(linear.dtype.element_ty), mask=real)
        tl.store(square + where, curve.to(square.dtype.element_ty), mask=real)
    tau = tl.load(prior + j, mask=j < M, other=1).to(tl.float64)
    joint = tl.log(tl.maximum(tau, least_prior)) - 0.5 * log_density
    joint -= tl.sum(tl.where(j < M, joint, 0), axis=0) / M
    tl.store(const + j, joint.to(const.dtype.element_ty), mask=j < M)


@triton.jit
def affine_of_batch(
    matrices, numbers, flags, sums, mean, var, centre, weight, bias, channels,
    eps: "fp64", shrinkage: "fp64", kept: "fp64",  # noqa: F821
    SPLIT: tl.constexpr, M: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the scale and shift that normalize a batch, and its moments, for one block of channels.

    ``matrices`` (7, M, C) are the offset, inverse, scale and shift that normalize, and the batch's
    mean, offset and variance; ``numbers`` (2 M + 1,) counts, shares and the total; ``flags``
    (M + 1,) which components were seen and whether there are enough pixels.
    """
    dtype = matrices.dtype.element_ty
    j = tl.arange(0, ROWS)
    c = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    where, real = _matrix_at(j, c, channels, M)
    zeroth = tl.load(sums + j * (1 + 2 * channels), mask=j < M, other=0)
    at = sums + _in_sums(j, c, channels)
    first = tl.load(at, mask=real, other=0)
    second = tl.load(at + channels, mask=real, other=0)
    total = tl.sum(zeroth, axis=0)
    shrunk = zeroth + shrinkage * total
    least = 1.5 if SPLIT else 1.0
    few = tl.where(total <= 1.5, 1, tl.where(shrunk < least, 1, 0)) > 0
    count = tl.maximum(shrunk, 1)
    first = (first + shrinkage * tl.sum(first, axis=0)[None, :]) / count[:, None]
    second = (second + shrinkage * tl.sum(second, axis=0)[None, :]) / count[:, None]
    spread = tl.maximum(second - first * first, 0)
    middle = tl.load(centre + c, mask=c < channels, other=0).to(tl.float64)[None, :]
    old = tl.load(mean + where, mask=real, other=0).to(tl.float64) - middle
    offset = tl.where(few[:, None], old, first + kept * (old - first))
    old = tl.load(var + where, mask=real, other=1).to(tl.float64)
    used_var = tl.where(few[:, None], old, spread + kept * (old - spread))
    inverse = 1 / tl.sqrt(used_var + eps)
    scale = tl.load(weight + where, mask=real, other=0).to(tl.float64) * inverse
    shift = tl.load(bias + where, mask=real, other=0).to(tl.float64) - offset * scale
    size = M * channels
    tl.store(matrices + where, offset.to(dtype), mask=real)
    tl.store(matrices + size + where, inverse.to(dtype), mask=real)
    tl.store(matrices + 2 * size + where, scale.to(dtype), mask=real)
    tl.store(matrices + 3 * size + where, shift.to(dtype), mask=real)
    tl.store(matrices + 4 * size + where, (first + middle).to(dtype), mask=real)
    tl.store(matrices + 5 * size + where, first.to(dtype), mask=real)
    tl.store(matrices + 6 * size + where, spread.to(dtype), mask=real)
    if tl.program_id(0) == 0:
        share = zeroth / tl.maximum(total, 1)
        tl.store(numbers + j, count.to(dtype), mask=j < M)
        tl.store(numbers + M + j, share.to(dtype), mask=j < M)
        tl.store(numbers + 2 * M, total.to(dtype))
        tl.store(flags + j, tl.where(few, 0, 1).to(tl.int1), mask=j < M)
        tl.store(flags + M, total > 1.5)


@triton.jit
def sums_gradient(
    output, to_weight, to_bias, scale, inverse, offset, var, count, seen, channels,
    shrinkage: "fp64", kept: "fp64",  # noqa: F821
    M: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write what :meth:`.ComponentArithmetic.sums_gradient` returns, in one program."""
    dtype = output.dtype.element_ty
    j = tl.arange(0, ROWS)
    n = tl.load(count + j, mask=j < M, other=1).to(tl.float64)
    mine = tl.load(seen + j, mask=j < M, other=0).to(tl.float64) * (1 - kept)
    zeroth = tl.zeros((ROWS,), tl.float64)
    for start in range(0, channels, BLOCK):
        c = start + tl.arange(0, BLOCK)
        where, real = _matrix_at(j, c, channels, M)
        slope = tl.load(scale + where, mask=real, other=0).to(tl.float64) * mine[:, None]
        mu = tl.load(offset + where, mask=real, other=0).to(tl.float64)
        second = tl.load(inverse + where, mask=real, other=0).to(tl.float64) * slope
        second *= -0.5 * tl.load(to_weight + where, mask=real, other=0).to(tl.float64)
        first = -slope * tl.load(to_bias + where, mask=real, other=0).to(tl.float64)
        first -= 2 * mu * second
        power = tl.load(var + where, mask=real, other=0).to(tl.float64) + mu * mu
        zeroth -= tl.sum(mu * first + power * second, axis=1)
        first, second = first / n[:, None], second / n[:, None]
        first += shrinkage * tl.sum(first, axis=0)[None, :]
        second += shrinkage * tl.sum(second, axis=0)[None, :]
        at = output + _in_sums(j, c, channels)
        tl.store(at, first.to(dtype), mask=real)
        tl.store(at + channels, second.to(dtype), mask=real)
    zeroth = zeroth / n
    zeroth += shrinkage * tl.sum(zeroth, axis=0)
    tl.store(output + j * (1 + 2 * channels), zeroth.to(dtype), mask=j < M)


@triton.jit
def move(
    running_mean, running_var, prior, not_finite, mean, var, count, share, total, seen, enough,
    channels, rate: "fp64",  # noqa: F821
    UNBIASED: tl.constexpr, SPLIT: tl.constexpr,
    M: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Move the stored statistics of one block of channels in place."""
    j = tl.arange(0, ROWS)
    c = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    where, real = _matrix_at(j, c, channels, M)
    weight = tl.load(seen + j, mask=j < M, other=0).to(tl.float64)[:, None] * rate
    mu = tl.load(mean + where, mask=real, other=0).to(tl.float64)
    spread = tl.load(var + where, mask=real, other=0).to(tl.float64)
    finite = (tl.abs(mu) < float("inf")) & (tl.abs(spread) < float("inf"))
    bad = tl.max(tl.where(finite, 0, 1))
    tl.store(not_finite, bad.to(not_finite.dtype.element_ty), mask=bad > 0)
    if UNBIASED:
        if SPLIT:
            pixels = tl.load(count + j, mask=j < M, other=1).to(tl.float64)[:, None]
        else:
            pixels = tl.load(total).to(tl.float64)
        spread *= pixels / tl.maximum(pixels - 1, 1)
    _lerp(running_mean + where, mu, weight, real & finite)
    _lerp(running_var + where, spread, weight, real & finite)
    if not SPLIT and tl.program_id(0) == 0:
        share_weight = tl.load(enough).to(tl.float64) * rate
        tau = tl.load(share + j, mask=j < M, other=0)
        _lerp(prior + j, tau, share_weight, (j < M) & (tau == tau))


@triton.jit
def _lerp(at, towards, weight, mask):
    """Replace stored numbers by (1 - weight) · stored + weight · towards."""
    old = tl.load(at, mask=mask, other=0).to(tl.float64)
    moved = old + weight * (towards.to(tl.float64) - old)
    tl.store(at, narrowed(moved, at), mask=mask)


@triton.jit
def narrowed(value, at):
    """Return a float64 value in the dtype of its destination, bfloat16 by way of float32."""
    dtype = at.dtype.element_ty
    return value.to(tl.float32).to(dtype) if dtype == tl.bfloat16 else value.to(dtype)


@triton.jit
def _matrix_at(j, c, channels, M: tl.constexpr):
    """Return the positions of components j and channels c in a matrix (M, C), and which exist."""
    return j[:, None] * channels + c[None, :], (j < M)[:, None] & (c < channels)[None, :]


@triton.jit
def _in_sums(j, c, channels):
    """Return the positions of components j's first sums over channels c in (M, 1 + 2C)."""
    return j[:, None] * (1 + 2 * channels) + 1 + c[None, :]
