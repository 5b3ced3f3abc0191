"""The facts about a segmentation that are kept instead of its points."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Outline(NamedTuple):
    """A segmentation: polygons, which reach from ``low`` to ``high``, or run lengths of ``size``.

    ``fault`` says in words what is wrong with it. Parts of fewer than three points enclose nothing,
    and are told apart because some programs take two points for a box.
    """

    fault: str = ""
    has_short_parts: bool = False
    low: float = 0.0
    high: float = 0.0
    size: tuple[int, int] | None = None

    def fault_in(self, height: int, width: int) -> str:
        """Return the outline's fault in an image of this size, if there is one."""
        if self.fault:
            return self.fault
        if self.size is not None and self.size != (height, width):
            return f"has a mask of (height, width) {self.size}, its image has {(height, width)}"
        # Points farther away than the image is long are of another image, or in other units.
        longer = max(height, width)
        if self.low < -longer or self.high > 2 * longer:
            return (
                f"has a polygon from {self.low:g} to {self.high:g} in an image of {width} x "
                f"{height} pixels"
            )
        return ""


def outline(segmentation: Any) -> Outline:
    """Return the outline of a ``segmentation`` in COCO's format."""
    if isinstance(segmentation, dict):
        return _of_run_lengths(segmentation)
    if not segmentation or not isinstance(segmentation, list):
        return Outline("has no segmentation")
    if not all(isinstance(part, list) for part in segmentation):
        return Outline("has a segmentation that is no list of polygons, [[x1, y1, x2, y2, ...]]")
    return _of_polygons(segmentation)


def enclosing_parts(segmentation: Any) -> Any:
    """Return a segmentation without polygons of fewer than three points, which enclose nothing."""
    if isinstance(segmentation, list):
        return [part for part in segmentation if len(part) > 5]
    return segmentation


def _of_polygons(parts: list[list[Any]]) -> Outline:
    enclosing = enclosing_parts(parts)
    for part in parts:
        try:
            known = math.isfinite(sum(part))
        except (TypeError, OverflowError):
            known = False
        if not known:
            return Outline("has a polygon with coordinates that are not finite numbers")
        if len(part) % 2:
            return Outline(f"has a polygon of {len(part)} numbers, x and y make an even number")
    if not enclosing:
        return Outline("has no polygon of three points or more")
    return Outline(
        has_short_parts=len(enclosing) < len(parts),
        low=min(map(min, enclosing)),
        high=max(map(max, enclosing)),
    )


def _of_run_lengths(rle: dict[str, Any]) -> Outline:
    size, counts = rle.get("size"), rle.get("counts")
    if not isinstance(size, list) or [type(n) for n in size] != [int, int] or min(size) < 1:
        return Outline(f"has run lengths of size {size!r}, expected [height, width]")
    try:
        runs = _decoded(counts) if isinstance(counts, str) else np.array(counts)
        are_lengths = runs.ndim == 1 and runs.dtype.kind == "i" and runs.min() >= 0
    except (IndexError, OverflowError, TypeError, ValueError):
        are_lengths = False
    if not are_lengths:
        return Outline("has run lengths that are no numbers of pixels")
    height, width = size
    pixels = math.fsum(runs)
    if pixels != height * width:
        return Outline(f"has run lengths of {pixels:.0f} pixels for a mask of {width} x {height}")
    return Outline(size=(height, width))


def _decoded(counts: str) -> NDArray[np.int64]:
    """Return the run lengths in COCO's text: five bits a letter, differences from the third on."""
    digits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((digits & 32) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(digits)) - np.repeat(starts, ends - starts + 1)
    if digits.min() < 0 or digits.max() > 63 or ends[-1] != len(digits) - 1 or place.max() > 10:
        raise ValueError("no run lengths")
    runs = np.add.reduceat((digits & 31) << 5 * place, starts)
    runs -= np.where(digits[ends] & 16, 32 << 5 * place[ends], 0)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs
