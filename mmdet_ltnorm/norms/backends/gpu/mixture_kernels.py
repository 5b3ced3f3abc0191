"""Triton kernels of CBN; :mod:`.mixture` beside it runs them.

A tile of pixels has channels as rows and pixels as columns, in whichever order they are in memory;
a matrix has components as rows, up to the power of two ``ROWS``, and pixels or channels as columns.
Pixels are counted through, over the samples. Offsets are pixels minus the centre, a point among
them. A ``geometry`` is the numbers of all pixels, of a sample's and of channels, and which pixel of
a sample is its middle; ``ROW`` divides the length of the rows in memory, of pixels or of channels,
and lets the compiler read as many numbers at once; the channels are adjacent if they are ``LAST``.
Sums over tiles add up tile by tile in a tuple with an entry for each of the ``M`` components, and
across threads once, at the end. Arithmetic on matrices (M, C) is in float64 where differences of
squares need it.
"""

import triton
import triton.language as tl


@triton.jit
def expectation(
    x, weights, zeroth, powers, joint, centre, mean, var, prior, groups, sample, sampled, geometry,
    eps: "fp64", temperature: "fp64", least_prior: "fp64", smallest,  # noqa: F821
    AT_STORED: tl.constexpr, TABLE: tl.constexpr, SHARE: tl.constexpr, BLOCK: tl.constexpr,
    M: tl.constexpr, ROWS: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
    ROW: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Write the responsibilities of every so many runs of SHARE pixels, and sums over them.

    ``zeroth`` gets Σ w, ``powers`` Σ w o and Σ w o², unless nobody needs them; ``sample`` gets the
    responsibilities of up to ``sampled`` evenly spaced pixels, then a row of -1. All programs write
    the same centre, the stored means' or the pixels', and the same coefficients of the logits to
    ``joint``.
    """
    dtype = weights.dtype.element_ty
    total, spread, channels, _ = geometry
    j = tl.arange(0, ROWS)
    density = tl.zeros((ROWS,), dtype)
    floor, heat = tl.full((), eps, dtype), tl.full((), temperature, dtype)
    for start in range(0, channels, TABLE):
        c = start + tl.arange(0, TABLE)
        if AT_STORED:
            middle = _mean_over_components(mean, c, channels, dtype, M)
        else:
            middle = _middle_of_samples(x, c, geometry, dtype, LAST)
        tl.store(centre + c, middle, mask=c < channels)
        if groups is None:
            density += _write_joint(joint, mean, var, middle, j, c, channels, floor, heat, dtype, M)
    if groups is None:
        tau = tl.load(prior + j, mask=j < M, other=1).to(dtype)
        const = tl.log(tl.maximum(tau, tl.full((), least_prior, dtype))) - density / 2
        const -= tl.sum(tl.where(j < M, const, 0), axis=0) / M
        const = tl.where(j < M, const, -float("inf"))
    tl.debug_barrier()  # other threads of the program read what was written
    every = total // sampled + 1
    if sample is not None and tl.program_id(0) == 0:
        end = (total + every - 1) // every
        if end < sampled:
            tl.store(sample + end * M + j, -1.0, mask=j < M)
    counted = tl.zeros((ROWS,), dtype)
    first = tl.program_id(0) * SHARE
    for begin in range(first, total, tl.num_programs(0) * SHARE):
        n = begin + tl.arange(0, SHARE)
        if groups is None:
            terms = (tl.zeros((BLOCK, SHARE), dtype),) * M
            for start in range(0, channels, BLOCK):
                c = start + tl.arange(0, BLOCK)
                where, real = _tile_at(c, n, geometry, ROW, LAST)
                offsets = tl.load(x + where, mask=real, other=0).to(dtype)
                offsets -= _column(centre, 0, c, channels)
                terms = _with_logits(terms, offsets, joint, c, channels, M)
            logits = tl.zeros((ROWS, SHARE), dtype) + const[:, None]
            for i in tl.static_range(M):
                logits = _with_row(logits, i, tl.sum(terms[i], axis=0))
            w = tl.exp(logits - tl.max(logits, axis=0)[None, :])
            w = w / tl.sum(w, axis=0)[None, :]
            w = tl.where(w < smallest, 0, w)  # NaN stays
        else:
            group = tl.load(groups + n // spread, mask=n < total, other=0)
            w = tl.where(j[:, None] == group[None, :], 1.0, 0.0).to(dtype)
        there = (j < M)[:, None] & (n < total)[None, :]
        at = _weights_at(weights, j[:, None], n[None, :], geometry, M, ROW, LAST)
        tl.store(at, w, mask=there)
        if sample is not None:
            rows = sample + (n // every)[None, :] * M + j[:, None]
            kept = there & (n % every == 0)[None, :]
            tl.store(rows, w.to(sample.dtype.element_ty), mask=kept)
        if zeroth is not None:
            counted += tl.sum(tl.where(there, w, 0), axis=1)
        if powers is not None:
            tl.debug_barrier()
            for start in range(0, channels, CHANNELS):  # through pixels that the caches still have
                c = start + tl.arange(0, CHANNELS)
                sums = _sums_of_pixels(
                    x, None, weights, centre, c, begin, begin + SHARE, PIXELS, geometry,
                    M, PIXELS, CHANNELS, ROW, LAST,
                )  # fmt: skip
                _store_sums(powers, sums[0], sums[1], c, channels, begin > first, M)
    if zeroth is not None:
        tl.store(zeroth + tl.program_id(0) * M + j, counted, mask=j < M)


@triton.jit
def finish(
    matrices, numbers, flags, start, weight, bias, mean, var, prior, centre, zeroth, powers,
    x, weights, batches, not_finite, geometry, programs, rows,
    eps: "fp64", shrinkage: "fp64", kept: "fp64", rate: "fp64",  # noqa: F821
    SPLIT: tl.constexpr, UNBIASED: tl.constexpr, M: tl.constexpr, ROWS: tl.constexpr,
    STEP: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr, ROW: tl.constexpr,
    LAST: tl.constexpr,
):  # fmt: skip
    """Write what normalizes, a batch's moments, and the stored statistics, for some channels.

    The sums of programs are added here, or taken here where there are no ``powers``; without
    ``zeroth`` the stored statistics normalize. With a ``start``, to which they are copied, the
    stored statistics move. What is written is as in :class:`~..interface.MixtureTables`.
    """
    j = tl.arange(0, ROWS)
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    channels = geometry[2]
    where, real = _matrix_at(j, c, channels, M)
    middle = tl.load(centre + c, mask=c < channels, other=0).to(tl.float64)[None, :]
    old_mean = tl.load(mean + where, mask=real, other=0).to(tl.float64)
    old_var = tl.load(var + where, mask=real, other=1).to(tl.float64)
    offset, used_var = old_mean - middle, old_var
    if zeroth is not None:
        counted = _sum_of_zeroth(zeroth, programs, j, M, ROWS)
        if powers is None:
            sums = _sums_of_pixels(
                x, None, weights, centre, c, 0, geometry[0], PIXELS, geometry,
                M, PIXELS, CHANNELS, ROW, LAST,
            )  # fmt: skip
        else:
            sums = _sums_of_rows(powers, rows, c, channels, M, STEP, CHANNELS)
        first, second = _matrix_of(sums[0], ROWS, CHANNELS), _matrix_of(sums[1], ROWS, CHANNELS)
        total = tl.sum(counted, axis=0)
        shrunk = counted + shrinkage * total
        few = tl.where(total <= 1.5, 1, tl.where(shrunk < (1.5 if SPLIT else 1.0), 1, 0)) > 0
        count = tl.maximum(shrunk, 1)
        share = counted / tl.maximum(total, 1)
        first = (first + shrinkage * tl.sum(first, axis=0)[None, :]) / count[:, None]
        second = (second + shrinkage * tl.sum(second, axis=0)[None, :]) / count[:, None]
        spread = tl.maximum(second - first * first, 0)
        offset = tl.where(few[:, None], offset, first + kept * (offset - first))
        used_var = tl.where(few[:, None], old_var, spread + kept * (old_var - spread))
        _store_matrix(matrices, 4, first + middle, where, real, channels, M)
        _store_matrix(matrices, 5, first, where, real, channels, M)
        _store_matrix(matrices, 6, spread, where, real, channels, M)
        if tl.program_id(0) == 0:
            tl.store(numbers + j, narrowed(count, numbers), mask=j < M)
            tl.store(numbers + M + j, narrowed(share, numbers), mask=j < M)
            tl.store(numbers + 2 * M, narrowed(total, numbers))
            tl.store(flags + j, tl.where(few, 0, 1).to(tl.int1), mask=j < M)
            tl.store(flags + M, total > 1.5)
        if start is not None:
            size = M * channels
            tl.store(start + where, narrowed(old_mean, start), mask=real)
            tl.store(start + size + where, narrowed(old_var, start), mask=real)
            if tl.program_id(0) == 0:
                tau = tl.load(prior + j, mask=j < M, other=0)
                tl.store(start + 2 * size + j, tau.to(start.dtype.element_ty), mask=j < M)
            seen, pixels = tl.where(few, 0.0, 1.0).to(tl.float64), (count if SPLIT else total)
            _move(
                mean, var, prior, not_finite, batches, first + middle, spread, seen, pixels, share,
                total > 1.5, where, real, rate, UNBIASED, SPLIT, M, ROWS,
            )  # fmt: skip
    inverse = 1 / tl.sqrt(used_var + eps)
    scale = tl.load(weight + where, mask=real, other=0).to(tl.float64) * inverse
    shift = tl.load(bias + where, mask=real, other=0).to(tl.float64) - offset * scale
    _store_matrix(matrices, 0, offset, where, real, channels, M)
    _store_matrix(matrices, 1, inverse, where, real, channels, M)
    _store_matrix(matrices, 2, scale, where, real, channels, M)
    _store_matrix(matrices, 3, shift, where, real, channels, M)


@triton.jit
def mix(
    x, gradient, result, weights, centre, matrices, to_sums, geometry,
    M: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
    ROW: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Write Σ w shift + o Σ w scale of offsets o, or the gradient of x.

    That is g Σ w scale + Σ w first + 2 o Σ w second, of the two matrices in ``to_sums``.
    """
    dtype = weights.dtype.element_ty
    channels = geometry[2]
    scale = matrices + 2 * M * channels
    first, second = scale + M * channels, scale
    if gradient is not None:
        first, second = to_sums, to_sums + M * channels
    n = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    where, real = _tile_at(c, n, geometry, ROW, LAST)
    constant = tl.zeros((CHANNELS, PIXELS), dtype)
    to_x = tl.zeros((CHANNELS, PIXELS), dtype)
    to_gradient = tl.zeros((CHANNELS, PIXELS), dtype)
    for i in tl.static_range(M):
        w = _row_of_weights(weights, i, n, geometry, M, ROW, LAST)
        constant += _column(first, i, c, channels) * w
        to_x += _column(second, i, c, channels) * w
        if gradient is not None:
            to_gradient += _column(scale, i, c, channels) * w
    if gradient is not None:
        to_x *= 2
    offsets = tl.load(x + where, mask=real, other=0).to(dtype) - _column(centre, 0, c, channels)
    mixed = offsets * to_x + constant
    if gradient is not None:
        mixed += tl.load(gradient + where, mask=real, other=0).to(dtype) * to_gradient
    tl.store(result + where, mixed.to(result.dtype.element_ty), mask=real)


@triton.jit
def gradient_sums(
    x, gradient, weights, powers, centre, geometry,
    M: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
    ROW: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Write Σ w g and Σ w g o over some pixels of offsets o, for some channels."""
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    begin, step = tl.program_id(0) * PIXELS, tl.num_programs(0) * PIXELS
    sums = _sums_of_pixels(
        x, gradient, weights, centre, c, begin, geometry[0], step, geometry,
        M, PIXELS, CHANNELS, ROW, LAST,
    )  # fmt: skip
    _store_sums(powers, sums[0], sums[1], c, geometry[2], False, M)


@triton.jit
def finish_gradient(
    to_weight, to_bias, to_sums, powers, matrices, numbers, flags, channels, rows,
    shrinkage: "fp64", kept: "fp64",  # noqa: F821
    M: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the gradients of weight and bias, and any of S¹ and S², from the programs' sums.

    Without ``numbers`` the stored statistics have normalized, and S¹ and S² have no gradient.
    """
    j = tl.arange(0, ROWS)
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    where, real = _matrix_at(j, c, channels, M)
    sums = _sums_of_rows(powers, rows, c, channels, M, STEP, CHANNELS)
    plain, weighted = _matrix_of(sums[0], ROWS, CHANNELS), _matrix_of(sums[1], ROWS, CHANNELS)
    inverse = _load_matrix(matrices, 1, where, real, channels, M)
    slope = (weighted - _load_matrix(matrices, 0, where, real, channels, M) * plain) * inverse
    tl.store(to_weight + where, narrowed(slope, to_weight), mask=real)
    tl.store(to_bias + where, narrowed(plain, to_bias), mask=real)
    if to_sums is not None:
        first, second = tl.zeros_like(plain), tl.zeros_like(plain)
        if numbers is not None:
            n = tl.load(numbers + j, mask=j < M, other=1).to(tl.float64)[:, None]
            mine = tl.load(flags + j, mask=j < M, other=0).to(tl.float64)[:, None] * (1 - kept)
            scale = _load_matrix(matrices, 2, where, real, channels, M) * mine
            mu = _load_matrix(matrices, 5, where, real, channels, M)
            second = -0.5 * scale * inverse * slope
            first = (-scale * plain - 2 * mu * second) / n
            second = second / n
            first += shrinkage * tl.sum(first, axis=0)[None, :]
            second += shrinkage * tl.sum(second, axis=0)[None, :]
        _store_matrix(to_sums, 0, first, where, real, channels, M)
        _store_matrix(to_sums, 1, second, where, real, channels, M)


@triton.jit
def move(
    mean, var, prior, not_finite, batches, matrices, numbers, flags, channels,
    rate: "fp64",  # noqa: F821
    SPLIT: tl.constexpr, UNBIASED: tl.constexpr,
    M: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Let a batch's moments, as :func:`finish` writes them, move the stored statistics."""
    j = tl.arange(0, ROWS)
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    where, real = _matrix_at(j, c, channels, M)
    mu = _load_matrix(matrices, 4, where, real, channels, M)
    spread = _load_matrix(matrices, 6, where, real, channels, M)
    count = tl.load(numbers + j, mask=j < M, other=1).to(tl.float64)
    share = tl.load(numbers + M + j, mask=j < M, other=0).to(tl.float64)
    seen = tl.load(flags + j, mask=j < M, other=0).to(tl.float64)
    enough = tl.load(flags + M).to(tl.int32) > 0
    pixels = count if SPLIT else tl.load(numbers + 2 * M).to(tl.float64)
    _move(
        mean, var, prior, not_finite, batches, mu, spread, seen, pixels, share,
        enough, where, real, rate, UNBIASED, SPLIT, M, ROWS,
    )  # fmt: skip


@triton.jit
def _move(
    mean, var, prior, not_finite, batches, mu, spread, seen, pixels, share, enough, where, real,
    rate, UNBIASED: tl.constexpr, SPLIT: tl.constexpr, M: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Move stored statistics in place towards a batch's; see :class:`~..interface.Learning`."""
    finite = (tl.abs(mu) < float("inf")) & (tl.abs(spread) < float("inf"))
    bad = tl.max(tl.where(real & (finite == 0), 1, 0))
    tl.store(not_finite, bad.to(not_finite.dtype.element_ty), mask=bad > 0)
    if UNBIASED:
        factor = pixels / tl.maximum(pixels - 1, 1)
        spread = spread * (factor[:, None] if SPLIT else factor)
    weight = seen[:, None] * rate
    _lerp(mean + where, mu, weight, real & finite)
    _lerp(var + where, spread, weight, real & finite)
    if tl.program_id(0) == 0:
        count = tl.where(enough, 1, 0)
        tl.store(batches, tl.load(batches) + count.to(batches.dtype.element_ty))
        if not SPLIT:
            j = tl.arange(0, ROWS)
            _lerp(prior + j, share, count.to(tl.float64) * rate, (j < M) & (share == share))


@triton.jit
def _lerp(at, towards, weight, mask):
    """Move numbers in place towards others, which get the weight."""
    old = tl.load(at, mask=mask, other=0).to(tl.float64)
    tl.store(at, narrowed(old + weight * (towards - old), at), mask=mask)


@triton.jit
def narrowed(value, at):
    """Return float64 in the dtype of where it is stored; Triton has no way straight to bfloat16."""
    dtype = at.dtype.element_ty
    return value.to(tl.float32).to(dtype) if dtype == tl.bfloat16 else value.to(dtype)


@triton.jit
def _middle_of_samples(x, c, geometry, dtype: tl.constexpr, LAST: tl.constexpr):
    """Return the mean of the middle pixels of the first samples, four or all."""
    total, spread, channels, middle = geometry
    added, samples = tl.zeros(c.shape, dtype), tl.zeros(c.shape, dtype)
    for sample in tl.static_range(4):
        index = tl.zeros(c.shape, tl.int64) + sample
        if LAST:
            at = (index * spread + middle) * channels + c
        else:
            at = (index * channels + c) * spread + middle
        there = index * spread < total
        added += tl.load(x + at, mask=(c < channels) & there, other=0).to(dtype)
        samples += tl.where(there, 1.0, 0.0).to(dtype)
    return added / samples


@triton.jit
def _mean_over_components(matrix, c, channels, dtype: tl.constexpr, M: tl.constexpr):
    added = tl.zeros(c.shape, tl.float64)
    for i in tl.static_range(M):
        row = tl.load(matrix + i * channels + c, mask=c < channels, other=0)
        added += row.to(tl.float64)
    return (added / M).to(dtype)


@triton.jit
def _write_joint(
    joint, mean, var, middle, j, c, channels, eps, temperature,
    dtype: tl.constexpr, M: tl.constexpr,
):  # fmt: skip
    r"""Write what makes the logits, linear · o + square · o², and return a part of the rest.

    It is what makes :math:`\log\tau_j + \log f_j(x) / T` (Eq. 9) but what all j share. Without the
    means over j the sum over many channels is small, and float32 does for it.
    """
    where, real = _matrix_at(j, c, channels, M)
    mu = tl.load(mean + where, mask=real, other=0).to(dtype)
    variance = tl.load(var + where, mask=real, other=1).to(dtype) + eps
    offset = mu - middle[None, :]
    inverse = tl.where(real, 1 / (variance * temperature), 0)
    linear = offset * inverse
    terms = linear * offset + tl.where(real, tl.log(variance) / temperature, 0)
    terms -= tl.where(real, tl.sum(tl.where(real, terms, 0), axis=0)[None, :] / M, 0)
    linear -= tl.sum(linear, axis=0)[None, :] / M
    square = -0.5 * (inverse - tl.sum(inverse, axis=0)[None, :] / M)
    tl.store(joint + where, linear, mask=real)
    tl.store(joint + M * channels + where, square, mask=real)
    return tl.sum(tl.where(real, terms, 0), axis=1)


@triton.jit
def _with_logits(terms, offsets, joint, c, channels, M: tl.constexpr):
    """Return the components' tiles with linear · o + square · o² added."""
    added = ()
    for i in tl.static_range(M):
        slope = _column(joint, M + i, c, channels) * offsets + _column(joint, i, c, channels)
        added = added + (terms[i] + slope * offsets,)
    return added


@triton.jit
def _sums_of_pixels(
    x, gradient, weights, centre, c, begin, end, step, geometry,
    M: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr,
    ROW: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Return Σ w g and Σ w g o over the pixels from begin to end; without g Σ w o and Σ w o²."""
    dtype = weights.dtype.element_ty
    first = (tl.zeros((CHANNELS, PIXELS), dtype),) * M
    second = (tl.zeros((CHANNELS, PIXELS), dtype),) * M
    for start in range(begin, end, step):
        n = start + tl.arange(0, PIXELS)
        where, real = _tile_at(c, n, geometry, ROW, LAST)
        offsets = tl.load(x + where, mask=real, other=0).to(dtype)
        offsets -= _column(centre, 0, c, geometry[2])
        values = offsets
        if gradient is not None:
            values = tl.load(gradient + where, mask=real, other=0).to(dtype)
        first, second = _with_weighted(
            first, second, values, values * offsets, weights, n, geometry, M, ROW, LAST
        )
    firsts, seconds = (), ()
    for i in tl.static_range(M):
        firsts = firsts + (tl.sum(first[i], axis=1),)
        seconds = seconds + (tl.sum(second[i], axis=1),)
    return firsts, seconds


@triton.jit
def _with_weighted(
    first, second, a, b, weights, n, geometry,
    M: tl.constexpr, ROW: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """Return the components' tiles with w a added to the first and w b to the second ones."""
    firsts, seconds = (), ()
    for i in tl.static_range(M):
        w = _row_of_weights(weights, i, n, geometry, M, ROW, LAST)
        firsts = firsts + (first[i] + w * a,)
        seconds = seconds + (second[i] + w * b,)
    return firsts, seconds


@triton.jit
def _store_sums(powers, first, second, c, channels, add, M: tl.constexpr):
    """Write sums to the program's rows, or add them to what it has written there."""
    own = powers + tl.program_id(0).to(tl.int64) * (2 * M * channels) + c
    for i in tl.static_range(M):
        for k in tl.static_range(2):
            at, sums = own + (k * M + i) * channels, first[i] if k == 0 else second[i]
            if add:
                sums += tl.load(at, mask=c < channels, other=0)
            tl.store(at, sums, mask=c < channels)


@triton.jit
def _sums_of_rows(
    powers, rows, c, channels, M: tl.constexpr, STEP: tl.constexpr, CHANNELS: tl.constexpr
):
    """Return the sums of all programs' two sums."""
    dtype = powers.dtype.element_ty
    first = (tl.zeros((STEP, CHANNELS), dtype),) * M
    second = (tl.zeros((STEP, CHANNELS), dtype),) * M
    for start in range(0, rows, STEP):
        row = start + tl.arange(0, STEP)
        at = powers + row[:, None].to(tl.int64) * (2 * M * channels) + c[None, :]
        real = (row < rows)[:, None] & (c < channels)[None, :]
        firsts, seconds = (), ()
        for i in tl.static_range(M):
            firsts = firsts + (first[i] + tl.load(at + i * channels, mask=real, other=0),)
            later = tl.load(at + (M + i) * channels, mask=real, other=0)
            seconds = seconds + (second[i] + later,)
        first, second = firsts, seconds
    firsts, seconds = (), ()
    for i in tl.static_range(M):
        firsts = firsts + (tl.sum(first[i].to(tl.float64), axis=0),)
        seconds = seconds + (tl.sum(second[i].to(tl.float64), axis=0),)
    return firsts, seconds


@triton.jit
def _sum_of_zeroth(zeroth, programs, j, M: tl.constexpr, ROWS: tl.constexpr):
    """Return the sum over all programs of Σ w, (ROWS,)."""
    added = tl.zeros((ROWS, 128), tl.float64)
    for start in range(0, programs, 128):
        row = start + tl.arange(0, 128)
        real = (j < M)[:, None] & (row < programs)[None, :]
        at = zeroth + row[None, :] * M + j[:, None]
        added += tl.load(at, mask=real, other=0).to(tl.float64)
    return tl.sum(added, axis=1)


@triton.jit
def _matrix_of(vectors, ROWS: tl.constexpr, CHANNELS: tl.constexpr):
    """Return the components' vectors as rows of a matrix in float64."""
    matrix = tl.zeros((ROWS, CHANNELS), tl.float64)
    for i in tl.static_range(len(vectors)):
        matrix = _with_row(matrix, i, vectors[i].to(tl.float64))
    return matrix


@triton.jit
def _with_row(matrix, i, row):
    """Return the matrix with something added to its row i."""
    rows = tl.arange(0, matrix.shape[0])[:, None]
    return matrix + tl.where(rows == i, row[None, :], 0)


@triton.jit
def _load_matrix(matrices, k, where, real, channels, M: tl.constexpr):
    return tl.load(matrices + k * M * channels + where, mask=real, other=0).to(tl.float64)


@triton.jit
def _store_matrix(matrices, k, matrix, where, real, channels, M: tl.constexpr):
    tl.store(matrices + k * M * channels + where, narrowed(matrix, matrices), mask=real)


@triton.jit
def _tile_at(c, n, geometry, ROW: tl.constexpr, LAST: tl.constexpr):
    """Return how far from the first number those of channels c and pixels n are, and which exist.

    Pixels' numbers are divided as 32 bits, which takes a fraction of the time that 64 take.
    """
    total, pixels, channels, _ = geometry
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
    """Return where the responsibilities of components j for pixels n are."""
    if LAST:
        return weights + j * geometry[0] + n
    row = geometry[1] // ROW * ROW
    return weights + (n // row).to(tl.int64) * (M * row) + n % row + j * row


@triton.jit
def _row_of_weights(
    weights, i, n, geometry, M: tl.constexpr, ROW: tl.constexpr, LAST: tl.constexpr
):
    """Return the responsibilities of component i as a row, with 0 beyond the pixels."""
    at = _weights_at(weights, i, n, geometry, M, ROW, LAST)
    return tl.load(at, mask=n < geometry[0], other=0)[None, :]


@triton.jit
def _column(matrix, i, c, channels):
    """Return the numbers of row i as a column, with 0 beyond the channels."""
    return tl.load(matrix + i * channels + c, mask=c < channels, other=0)[:, None]


@triton.jit
def _matrix_at(j, c, channels, M: tl.constexpr):
    """Return where the numbers of components j and channels c are, and which exist."""
    return j[:, None] * channels + c[None, :], (j < M)[:, None] & (c < channels)[None, :]
