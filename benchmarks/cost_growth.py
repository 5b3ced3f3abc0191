"""How CBN's time, forward and backward, grows with pixels, channels and components.

    python benchmarks/cost_growth.py

The input has 2**14 pixels, 128 channels and 4 components; one of these is varied at a time. CBN
runs in turns with `nn.BatchNorm2d` on the same input. A line is fitted to the median times; for
components, to the time over batch norm. On a GPU there are 16 times as many pixels. Writes
cost_growth.png beside this file.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from norms import layer_step
from torch import nn

from mmdet_ltnorm.benchmark import keep_freed_memory, machine, ratios, timed
from mmdet_ltnorm.norms import CBN
from mmdet_ltnorm.results.pictures import line_looks, picture, shared_legend
from mmdet_ltnorm.results.tables import markdown_table

DEFAULT = dict(pixels=2**14, channels=128, components=4)
VARIED = {
    "pixels": [2**k for k in range(12, 17)],
    "channels": [32, 64, 128, 256, 512],
    "components": list(range(1, 9)),
}
SIDE = 16  # height and width of the images


class Growth(NamedTuple):
    """The measured seconds of each size, one for each round; sizes took turns."""

    sizes: list[int]
    batch_norm: list[list[float]]
    cbn: list[list[float]]

    def over_batch_norm(self) -> list[float]:
        """Return the median of the paired ratios at each size."""
        pairs = zip(self.cbn, self.batch_norm, strict=True)
        return [median(a / b for a, b in zip(*both, strict=True)) for both in pairs]


def steps(pixels: int, channels: int, components: int, scale: int) -> list[Callable[[], None]]:
    """Return a step of batch norm and a step of CBN; ``scale`` multiplies the number of pixels."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = (scale * pixels // SIDE**2, channels, SIDE, SIDE)
    x, upstream = (torch.randn(shape, device=device) for _ in range(2))
    x.requires_grad_()
    layers = nn.BatchNorm2d(channels), CBN(channels, num_components=components)
    return [layer_step(layer.to(device), x, upstream) for layer in layers]


def measure(name: str, sizes: Sequence[int], scale: int, rounds: int) -> Growth:
    """Time all sizes of pixels, channels or components (``name``) in the same rounds."""
    pairs = [steps(**(DEFAULT | {name: size}), scale=scale) for size in sizes]
    seconds = timed([step for pair in pairs for step in pair], rounds)
    unit = scale if name == "pixels" else 1
    return Growth([unit * size for size in sizes], seconds[::2], seconds[1::2])


def line(x: Sequence[float], y: Sequence[float]) -> tuple[np.ndarray, float]:
    """Fit a line by relative errors; return slope and intercept, and the largest relative error."""
    coefficients = np.polyfit(x, y, 1, w=1 / np.asarray(y))
    return coefficients, float(np.abs(np.polyval(coefficients, x) / y - 1).max())


def power(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the exponent of the power law through the points."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def row(name: str, growth: Growth) -> list[str]:
    """Return a row of the table: the fits, and the time over batch norm at both ends."""
    sizes, over = growth.sizes, growth.over_batch_norm()
    ends = [ratios(growth.cbn[end], growth.batch_norm[end]) for end in (0, -1)]
    if name == "components":
        (slope, _), off = line(sizes, over)
        fits = [f"{100 * off:.0f} %", "", "", f"{slope:.2f}"]
    else:
        ours, theirs = ([median(s) for s in kind] for kind in (growth.cbn, growth.batch_norm))
        off = line(sizes, ours)[1]
        fits = [f"{100 * off:.0f} %", *(f"{power(sizes, kind):.2f}" for kind in (ours, theirs)), ""]
    return [f"{name}, {sizes[0]} to {sizes[-1]}", *fits, *ends]


HEADER = ["", "off the line", "power", "BN's power", "a component", "over BN, first", "last"]
LEGEND = (
    "Off the line: the farthest point's distance from the fitted line. Power: p in size^p, 1 where "
    "time grows linearly. A component: the time of one more, in units of batch norm's time."
)


def draw(growths: dict[str, Growth], path: Path) -> None:
    """Draw times against sizes with their fitted lines; for components, the time over BN."""
    with picture(path, 2.3, width=7) as figure:
        grid = figure.subplots(1, len(growths))
        for axes, (name, growth) in zip(grid, growths.items(), strict=True):
            axes.set_xlabel(name)
            if name == "components":
                curves = {"CBN": growth.over_batch_norm(), "batch norm": [1.0] * len(growth.sizes)}
                axes.set_ylabel("time over batch norm")
            else:
                both = {"CBN": growth.cbn, "batch norm": growth.batch_norm}
                curves = {key: [1e3 * median(s) for s in kind] for key, kind in both.items()}
                axes.set_ylabel("forward + backward, ms")
            draw_panel(axes, growth.sizes, curves)
        shared_legend(figure)


def draw_panel(axes: Any, sizes: Sequence[int], curves: dict[str, list[float]]) -> None:
    """Draw each curve's points and the line through them."""
    for label, look in line_looks(curves):
        axes.plot(sizes, curves[label], **(look | dict(linestyle="none", marker="o")))
        fitted = np.polyval(line(sizes, curves[label])[0], sizes)
        axes.plot(sizes, fitted, **(look | dict(label=None)))
    axes.set_ylim(bottom=0)


def main() -> None:
    """Measure, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    args = parser.parse_args()
    keep_freed_memory()
    scale = 16 if torch.cuda.is_available() else 1
    growths = {name: measure(name, sizes, scale, args.rounds) for name, sizes in VARIED.items()}
    draw(growths, args.out)
    print(f"{machine()}; medians of {args.rounds} rounds [quartiles]\n")
    print(markdown_table(HEADER, [row(name, growth) for name, growth in growths.items()]))
    print(f"\n{LEGEND}\n\n![CBN's time against pixels, channels and components]({args.out.name})")


if __name__ == "__main__":
    main()
