"""Triton kernels over the pixels of a feature map; :mod:`mmdet_ltnorm.norms.triton_cbn` runs them.

A tile has channels as rows and pixels as columns, in whichever order they are in memory; a table
has components as rows and pixels or channels as columns. Pixels are counted through, over the
samples. A ``geometry`` is the numbers of all pixels, of a sample's and of channels, and the strides
of samples, pixels and channels. ``M`` components are unrolled, and rows of tables go up to the
power of two ``ROWS``; tiles with components as a third dimension would compile to five times the
shuffles, and spill.
"""

import triton
import triton.language as tl


@triton.jit
def expectation(
    x, weights, partial, const, linear, square, centre, geometry, smallest,
    SHARE: tl.constexpr, BLOCK: tl.constexpr, M: tl.constexpr, ROWS: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the responsibilities of SHARE pixels, and any sums of :func:`sums` over them."""
    dtype = weights.dtype.element_ty
    total, channels = geometry[0], geometry[2]
    begin = tl.program_id(0) * SHARE
    n = begin + tl.arange(0, SHARE)
    j = tl.arange(0, ROWS)
    logits = tl.zeros((ROWS, SHARE), dtype)
    logits += tl.load(const + j, mask=j < M, other=-float("inf"))[:, None]
    for start in range(0, channels, BLOCK):
        c = start + tl.arange(0, BLOCK)
        where, real = _tile_at(c, n, geometry)
        values = tl.load(x + where, mask=real, other=0).to(dtype)
        offsets = values - _column(centre, 0, c, geometry)
        for i in tl.static_range(M):
            terms = _column(linear, i, c, geometry) * values
            terms += _column(square, i, c, geometry) * offsets * offsets
            logits = _with_row(logits, i, tl.sum(terms, axis=0))
    w = tl.exp(logits - tl.max(logits, axis=0)[None, :])
    w = w / tl.sum(w, axis=0)[None, :]
    at = _weights_at(weights, j[:, None], n[None, :], geometry, M)
    tl.store(at, tl.where(w > smallest, w, 0), mask=(j < M)[:, None] & (n < total)[None, :])
    if partial is not None:
        tl.debug_barrier()  # other threads of the program read them
        for start in range(0, channels, CHANNELS):  # through pixels that the caches still have
            c = start + tl.arange(0, CHANNELS)
            _write_sums(
                x, None, weights, partial, centre, c, begin, begin + SHARE, PIXELS, geometry,
                M, ROWS, PIXELS, CHANNELS,
            )  # fmt: skip


@triton.jit
def sums(
    x, gradient, weights, partial, centre, geometry,
    M: tl.constexpr, ROWS: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write Σ w g and Σ w g · x over some pixels; without a gradient Σ w x, Σ w (x - centre)²."""
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    begin, step = tl.program_id(0) * PIXELS, tl.num_programs(0) * PIXELS
    _write_sums(
        x, gradient, weights, partial, centre, c, begin, geometry[0], step, geometry,
        M, ROWS, PIXELS, CHANNELS,
    )  # fmt: skip


@triton.jit
def mix(
    x, gradient, result, weights, scale, first, second, geometry,
    M: tl.constexpr, ROWS: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write g · Σ w scale + Σ w first + x · Σ w second, without a gradient the latter two."""
    dtype = weights.dtype.element_ty
    n = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    where, real = _tile_at(c, n, geometry)
    constant = tl.zeros((CHANNELS, PIXELS), dtype)
    to_x = tl.zeros((CHANNELS, PIXELS), dtype)
    to_gradient = tl.zeros((CHANNELS, PIXELS), dtype)
    for i in tl.static_range(M):
        w = _row_of_weights(weights, i, n, geometry, M)
        constant += _column(first, i, c, geometry) * w
        to_x += _column(second, i, c, geometry) * w
        if gradient is not None:
            to_gradient += _column(scale, i, c, geometry) * w
    mixed = tl.load(x + where, mask=real, other=0).to(dtype) * to_x + constant
    if gradient is not None:
        mixed += tl.load(gradient + where, mask=real, other=0).to(dtype) * to_gradient
    tl.store(result + where, mixed.to(result.dtype.element_ty), mask=real)


@triton.jit
def logit_gradient(
    x, gradient, weights, output, centre, scale, shift, zeroth, first, second, geometry,
    SHARE: tl.constexpr, BLOCK: tl.constexpr, M: tl.constexpr, ROWS: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the gradient of the logits of SHARE pixels, with polynomials in x - centre."""
    dtype = weights.dtype.element_ty
    total, channels = geometry[0], geometry[2]
    n = tl.program_id(0) * SHARE + tl.arange(0, SHARE)
    j = tl.arange(0, ROWS)
    through = tl.zeros((ROWS, SHARE), dtype)
    through += tl.load(zeroth + j, mask=j < M, other=0)[:, None]
    for start in range(0, channels, BLOCK):
        c = start + tl.arange(0, BLOCK)
        where, real = _tile_at(c, n, geometry)
        offsets = tl.load(x + where, mask=real, other=0).to(dtype)
        offsets -= _column(centre, 0, c, geometry)
        g = tl.load(gradient + where, mask=real, other=0).to(dtype)
        for i in tl.static_range(M):
            affine = _column(scale, i, c, geometry) * offsets + _column(shift, i, c, geometry)
            slope = _column(second, i, c, geometry) * offsets + _column(first, i, c, geometry)
            through = _with_row(through, i, tl.sum(affine * g + slope * offsets, axis=0))
    known = (j < M)[:, None] & (n < total)[None, :]
    at = _weights_at(weights, j[:, None], n[None, :], geometry, M)
    w = tl.load(at, mask=known, other=0)
    at = _weights_at(output, j[:, None], n[None, :], geometry, M)
    tl.store(at, w * (through - tl.sum(w * through, axis=0)[None, :]), mask=known)


@triton.jit
def _write_sums(
    x, gradient, weights, partial, centre, c, begin, end, step, geometry,
    M: tl.constexpr, ROWS: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write two sums over the pixels from begin to end, for channels c, to the program's rows."""
    dtype = weights.dtype.element_ty
    first = tl.zeros((ROWS, CHANNELS), dtype)
    second = tl.zeros((ROWS, CHANNELS), dtype)
    for start in range(begin, end, step):
        n = start + tl.arange(0, PIXELS)
        where, real = _tile_at(c, n, geometry)
        values = tl.load(x + where, mask=real, other=0).to(dtype)
        if gradient is None:
            offsets = values - _column(centre, 0, c, geometry)
            products = offsets * offsets
        else:
            g = tl.load(gradient + where, mask=real, other=0).to(dtype)
            products = g * values
            values = g
        for i in tl.static_range(M):
            w = _row_of_weights(weights, i, n, geometry, M)
            first = _with_row(first, i, tl.sum(w * values, axis=1))
            second = _with_row(second, i, tl.sum(w * products, axis=1))
    channels = geometry[2]
    j = tl.arange(0, ROWS)[:, None]
    known = (j < M) & (c < channels)[None, :]
    own = partial + tl.program_id(0).to(tl.int64) * (2 * M * channels) + j * channels + c[None, :]
    tl.store(own, first, mask=known)
    tl.store(own + M * channels, second, mask=known)


@triton.jit
def _tile_at(c, n, geometry):
    """Return how far from the first number those of channels c and pixels n are, and which exist.

    Pixels' numbers are divided as 32 bits, which takes a fraction of the time that 64 take.
    """
    total, pixels, channels, sample_stride, pixel_stride, channel_stride = geometry
    offset = (n // pixels).to(tl.int64) * sample_stride + (n % pixels).to(tl.int64) * pixel_stride
    where = c[:, None].to(tl.int64) * channel_stride + offset[None, :]
    return where, (c < channels)[:, None] & (n < total)[None, :]


@triton.jit
def _weights_at(weights, j, n, geometry, M: tl.constexpr):
    """Return where the responsibilities of components j for pixels n are."""
    pixels = geometry[1]
    return weights + (n // pixels).to(tl.int64) * (M * pixels) + n % pixels + j * pixels


@triton.jit
def _row_of_weights(weights, i, n, geometry, M: tl.constexpr):
    """Return the responsibilities of component i as a row, with 0 beyond the pixels."""
    total = geometry[0]
    return tl.load(_weights_at(weights, i, n, geometry, M), mask=n < total, other=0)[None, :]


@triton.jit
def _column(table, i, c, geometry):
    """Return the numbers of component i as a column, with 0 beyond the channels."""
    channels = geometry[2]
    return tl.load(table + i * channels + c, mask=c < channels, other=0)[:, None]


@triton.jit
def _with_row(table, i, row):
    """Return the table with something added to its row i."""
    rows = tl.arange(0, table.shape[0])[:, None]
    return table + tl.where(rows == i, row[None, :], 0)
