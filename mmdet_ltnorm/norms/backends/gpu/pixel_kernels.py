"""Triton kernels over the pixels of a feature map; :mod:`.pixels` beside it runs them.

The rows of a tile are channels and its columns pixels, in whichever order they are in memory; the
rows of a matrix are components, padded to ``ROWS``, a power of two, and its columns pixels or
channels. Pixels are numbered through all samples. Offsets (o) are pixels minus the centre, a point
among them. ``geometry`` holds the number of all pixels, of a sample's pixels and of channels.
``ROW`` divides the length of a row in memory, of pixels or of channels, and lets the compiler read
as many numbers at once. Sums are kept in a tuple with one tile for each of the ``M`` components;
they are added tile by tile, and across threads once, at the end.
"""

import triton
import triton.language as tl


@triton.jit
def expectation(
    x, weights, partial, const, linear, square, centre, geometry, smallest,
    SHARE: tl.constexpr, BLOCK: tl.constexpr, M: tl.constexpr, ROWS: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr, ROW: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Write the responsibilities of SHARE pixels and, given ``partial``, what :func:`sums` does."""
    dtype = weights.dtype.element_ty
    total, channels = geometry[0], geometry[2]
    begin = tl.program_id(0) * SHARE
    n = begin + tl.arange(0, SHARE)
    terms = (tl.zeros((BLOCK, SHARE), dtype),) * M
    for start in range(0, channels, BLOCK):
        c = start + tl.arange(0, BLOCK)
        where, real = _tile_at(c, n, geometry, ROW, LAST)
        values = tl.load(x + where, mask=real, other=0).to(dtype)
        offsets = values - _column(centre, 0, c, geometry)
        terms = _with_products(terms, offsets, offsets * offsets, linear, square, c, geometry, M)
    j = tl.arange(0, ROWS)
    logits = tl.zeros((ROWS, SHARE), dtype)
    logits += tl.load(const + j, mask=j < M, other=-float("inf"))[:, None]
    for i in tl.static_range(M):
        logits = _with_row(logits, i, tl.sum(terms[i], axis=0))
    w = tl.exp(logits - tl.max(logits, axis=0)[None, :])
    w = w / tl.sum(w, axis=0)[None, :]
    at = _weights_at(weights, j[:, None], n[None, :], geometry, M, ROW, LAST)
    tl.store(at, tl.where(w > smallest, w, 0), mask=(j < M)[:, None] & (n < total)[None, :])
    if partial is not None:
        tl.debug_barrier()  # threads read the responsibilities that other threads wrote
        for start in range(0, channels, CHANNELS):  # the caches still hold these pixels
            c = start + tl.arange(0, CHANNELS)
            _write_sums(
                x, None, weights, partial, centre, c, begin, begin + SHARE, PIXELS, geometry,
                M, PIXELS, CHANNELS, ROW, LAST,
            )  # fmt: skip


@triton.jit
def sums(
    x, gradient, weights, partial, centre, geometry,
    M: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
    ROW: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Write Σ w g and Σ w g o over the program's pixels; without a gradient Σ w o and Σ w o²."""
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    begin, step = tl.program_id(0) * PIXELS, tl.num_programs(0) * PIXELS
    _write_sums(
        x, gradient, weights, partial, centre, c, begin, geometry[0], step, geometry,
        M, PIXELS, CHANNELS, ROW, LAST,
    )  # fmt: skip


@triton.jit
def mix(
    x, gradient, result, weights, centre, scale, first, second, apart, geometry,
    M: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
    ROW: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Write Σ w first + o Σ w second; with a gradient Σ w first + 2 o Σ w second + g Σ w scale.

    ``apart`` is the distance in memory between the rows of first, and of second.
    """
    dtype = weights.dtype.element_ty
    n = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    where, real = _tile_at(c, n, geometry, ROW, LAST)
    constant = tl.zeros((CHANNELS, PIXELS), dtype)
    to_x = tl.zeros((CHANNELS, PIXELS), dtype)
    to_gradient = tl.zeros((CHANNELS, PIXELS), dtype)
    for i in tl.static_range(M):
        w = _row_of_weights(weights, i, n, geometry, M, ROW, LAST)
        constant += _column(first, i, c, geometry, apart) * w
        to_x += _column(second, i, c, geometry, apart) * w
        if gradient is not None:
            to_gradient += _column(scale, i, c, geometry) * w
    if gradient is not None:
        to_x *= 2
    offsets = tl.load(x + where, mask=real, other=0).to(dtype) - _column(centre, 0, c, geometry)
    mixed = offsets * to_x + constant
    if gradient is not None:
        mixed += tl.load(gradient + where, mask=real, other=0).to(dtype) * to_gradient
    tl.store(result + where, mixed.to(result.dtype.element_ty), mask=real)


@triton.jit
def _write_sums(
    x, gradient, weights, partial, centre, c, begin, end, step, geometry,
    M: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
    ROW: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Write the sums over the pixels from begin to end, for channels c, to the program's rows."""
    dtype = weights.dtype.element_ty
    first = (tl.zeros((CHANNELS, PIXELS), dtype),) * M
    second = (tl.zeros((CHANNELS, PIXELS), dtype),) * M
    for start in range(begin, end, step):
        n = start + tl.arange(0, PIXELS)
        where, real = _tile_at(c, n, geometry, ROW, LAST)
        offsets = tl.load(x + where, mask=real, other=0).to(dtype)
        offsets -= _column(centre, 0, c, geometry)
        values = offsets
        if gradient is not None:
            values = tl.load(gradient + where, mask=real, other=0).to(dtype)
        products = values * offsets
        first, second = _with_weighted(
            first, second, values, products, weights, n, geometry, M, ROW, LAST
        )
    channels = geometry[2]
    own = partial + tl.program_id(0).to(tl.int64) * (2 * M * channels) + c
    for i in tl.static_range(M):
        tl.store(own + i * channels, tl.sum(first[i], axis=1), mask=c < channels)
        tl.store(own + (M + i) * channels, tl.sum(second[i], axis=1), mask=c < channels)


@triton.jit
def _with_products(tiles, a, b, first, second, c, geometry, M: tl.constexpr):
    """Add a · first + b · second to each component's tile; first and second are (M, C)."""
    added = ()
    for i in tl.static_range(M):
        terms = a * _column(first, i, c, geometry) + b * _column(second, i, c, geometry)
        added = added + (tiles[i] + terms,)
    return added


@triton.jit
def _with_weighted(
    first, second, a, b, weights, n, geometry,
    M: tl.constexpr, ROW: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Add w a to each component's first tile, and w b to its second."""
    firsts, seconds = (), ()
    for i in tl.static_range(M):
        w = _row_of_weights(weights, i, n, geometry, M, ROW, LAST)
        firsts = firsts + (first[i] + w * a,)
        seconds = seconds + (second[i] + w * b,)
    return firsts, seconds


@triton.jit
def _tile_at(c, n, geometry, ROW: tl.constexpr, LAST: tl.constexpr):
    """Return the positions of channels c and pixels n in memory, and which exist.

    Pixels are divided as 32-bit integers, which takes a fraction of the time of 64-bit ones.
    """
    total, pixels, channels = geometry
    if LAST:
        row = channels // ROW * ROW
        where = c[:, None] + n[None, :].to(tl.int64) * row
    else:
        row = pixels // ROW * ROW
        start = (n // row).to(tl.int64) * channels
        where = (start[None, :] + c[:, None]) * row + (n % row)[None, :]
    return where, (c < channels)[:, None] & (n < total)[None, :]


@triton.jit
def _weights_at(weights, j, n, geometry, M: tl.constexpr, ROW: tl.constexpr, LAST: tl.constexpr):
    """Return the addresses of the responsibilities of components j for pixels n."""
    row = geometry[1]
    if not LAST:
        row = row // ROW * ROW
    return weights + (n // row).to(tl.int64) * (M * row) + n % row + j * row


@triton.jit
def _row_of_weights(
    weights, i, n, geometry, M: tl.constexpr, ROW: tl.constexpr, LAST: tl.constexpr
):
    """Return the responsibilities of component i as a row, with 0 beyond the pixels."""
    at = _weights_at(weights, i, n, geometry, M, ROW, LAST)
    return tl.load(at, mask=n < geometry[0], other=0)[None, :]


@triton.jit
def _column(matrix, i, c, geometry, apart=None):
    """Return the numbers of component i as a column, with 0 beyond the channels."""
    channels = geometry[2]
    start = i * channels if apart is None else i * apart
    return tl.load(matrix + start + c, mask=c < channels, other=0)[:, None]


@triton.jit
def _with_row(matrix, i, row):
    """Return the matrix with ``row`` added to its row i."""
    rows = tl.arange(0, matrix.shape[0])[:, None]
    return matrix + tl.where(rows == i, row[None, :], 0)
