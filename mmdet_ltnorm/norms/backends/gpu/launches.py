"""How many programs run CBN's Triton kernels, and the tiles that they go through.

Kernels read and write a feature map as often as batch norm does: forward reads the input twice and
writes once, backward reads input and gradient twice and writes once.
"""

import functools
from collections.abc import Sequence
from math import gcd, prod
from typing import Any, NamedTuple

import triton

WARPS = 8
# Sixteen numbers for each thread: enough loads under way, and registers left for the sums.
TILE = WARPS * 32 * 16
# Four programs for each multiprocessor of an H100, two, one, and the fewest that are worth it.
MANY, SOME, ENOUGH, FEW = 528, 264, 132, 48
# What partial sums may take of the input's bytes.
SHARE_OF_SUMS = 0.02
# What a program reads twice, so that the second time all find theirs in the cache.
RUN_BYTES = 2**16
# What stays in an H100's cache from one kernel to the next.
CACHED_BYTES = 2**25
# Channels of a tile of the kernels that add programs' sums, and those whose logits' coefficients
# are made at once.
CHANNELS, TABLE = 16, 256

Sizes = dict[str, Any]


class Launches(NamedTuple):
    """The arguments of launches for inputs of one shape.

    ``geometry`` is the number of all pixels, of a sample's and of channels, and the index of a
    sample's middle pixel; ``weights`` the shape of the responsibilities. The first kernel takes the
    sums over the pixels if it goes ``by_pixels``, else the second does, by channels.
    """

    geometry: tuple[int, int, int, int]
    weights: tuple[int, int, int]
    by_pixels: bool
    programs: int
    expectation: Sizes
    finish_rows: Sizes
    finish_channels: Sizes
    mix_grid: tuple[int, int]
    mix: Sizes
    sums_grid: tuple[int, int]
    sums: Sizes
    finish_gradient: Sizes


@functools.lru_cache(maxsize=1024)
def launches(
    shape: Sequence[int], last: bool, itemsize: int, components: int, ranks: bool
) -> Launches:
    """Return how to launch the kernels.

    Partial sums take at most two hundredths of the input. Where that allows too few programs,
    the second kernel takes the sums, by channels, from an input that the cache still has. Only
    for other ranks, and for large inputs of many channels and few pixels, partial sums are larger.

    Args:
        shape: the input's, (B, C, ...).
        last: whether its channels are adjacent in memory.
        itemsize: the bytes of a number.
        ranks: whether the first kernel has to take the sums, for other ranks.
    """
    samples, channels, *lengths = shape
    pixels = prod(lengths)
    total, middle = samples * pixels, 0
    for length in lengths:
        middle = middle * length + length // 2
    at_once = gcd(channels if last else pixels, max(16 // itemsize, 1))
    layout = dict(M=components, ROW=at_once, LAST=last, num_warps=WARPS)
    summed = TILE // (2 if components <= 4 else 4)
    rows = dict(matrices(components), STEP=summed // CHANNELS)
    most = int(SHARE_OF_SUMS * total * itemsize / (2 * components * max(itemsize, 4))) or 1

    run = min(128, triton.next_power_of_2(total // MANY))
    while run > 16 and run * channels * itemsize > RUN_BYTES:
        run //= 2
    run, runs = max(run, 16), triton.cdiv(total, max(run, 16))
    cached = total * channels * itemsize <= CACHED_BYTES
    by_pixels = ranks or most >= FEW or not cached
    programs = min(runs, MANY)
    if by_pixels:
        programs = min(programs, most if most >= FEW else ENOUGH)
    padded = triton.next_power_of_2(channels)
    expectation = dict(
        SHARE=run,
        BLOCK=min(padded, summed // run),
        TABLE=min(padded, TABLE),
        ROWS=rows["ROWS"],
        **layout,
        **_tile(layout, channels, run, summed),
    )
    tile = _tile(layout, channels, total, summed)
    of_channels = _narrow(tile, last, itemsize, channels, total, 1)
    mixed = _tile(layout, channels, total, TILE, least_pixels=4)
    sums = _narrow(tile, last, itemsize, channels, total, min(most, triton.cdiv(total, summed)))
    blocks = triton.cdiv(channels, sums["CHANNELS"])
    sum_rows = min(most, max(2 * MANY // blocks, 1), triton.cdiv(total, sums["PIXELS"]))
    return Launches(
        geometry=(total, pixels, channels, middle),
        weights=(1, components, total) if last else (samples, components, pixels),
        by_pixels=by_pixels,
        programs=triton.cdiv(runs, triton.cdiv(runs, programs)),
        expectation=expectation,
        finish_rows=dict(rows, PIXELS=1, ROW=1, LAST=last),
        finish_channels=rows | layout | of_channels,
        mix_grid=(triton.cdiv(total, mixed["PIXELS"]), triton.cdiv(channels, mixed["CHANNELS"])),
        mix=layout | mixed,
        sums_grid=(sum_rows, blocks),
        sums=layout | sums,
        finish_gradient=rows,
    )


def matrices(components: int) -> Sizes:
    """Return the sizes of the tiles of matrices (M, C)."""
    rows = triton.next_power_of_2(components)
    return dict(M=components, ROWS=rows, CHANNELS=CHANNELS, num_warps=WARPS)


def _tile(layout: Sizes, channels: int, pixels: int, numbers: int, least_pixels: int = 1) -> Sizes:
    """Return the sizes of a tile of at most so many pixels and numbers.

    Each warp reads a run of adjacent numbers. Where a thread would have fewer pixels of a channel
    than it should, all warps read one run: kernels read coefficients for each channel of a thread.
    """
    channels, run = triton.next_power_of_2(channels), 32 * layout["ROW"]
    pixels = min(triton.next_power_of_2(pixels), numbers)
    if layout["LAST"]:
        channels = min(channels, run)
        return dict(PIXELS=min(pixels, numbers // channels), CHANNELS=channels)
    if layout["ROW"] < least_pixels:
        run = numbers // least_pixels
    pixels = min(pixels, run)
    return dict(PIXELS=pixels, CHANNELS=min(channels, numbers // pixels))


def _narrow(tile: Sizes, last: bool, itemsize: int, channels: int, total: int, rows: int) -> Sizes:
    """Return a tile of as many numbers with fewer channels, so that more programs share the work.

    Channels that are adjacent in memory are not fewer than the 32 bytes that a read takes.
    """
    fewest, (pixels, width) = 32 // itemsize if last else 1, (tile["PIXELS"], tile["CHANNELS"])
    while width > fewest and pixels < total and rows * triton.cdiv(channels, width) < SOME:
        width, pixels = width // 2, pixels * 2
    return dict(PIXELS=pixels, CHANNELS=width)
