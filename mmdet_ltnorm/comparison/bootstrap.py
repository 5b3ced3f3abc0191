"""Paired bootstrap over test images: how far a difference of scores can be trusted."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

# From weights of the images, (B, images), to the percentages (B,) of each score.
Scores = Callable[[NDArray[np.int32]], Mapping[str, NDArray[np.float64]]]
BLOCK = 100  # resamples at a time


class Difference(NamedTuple):
    """Two models' percentages, and the 95 % interval of their difference."""

    first: float
    second: float
    low: float
    high: float

    @property
    def estimate(self) -> float:
        """The difference in percentage points."""
        return self.second - self.first

    def words(self) -> str:
        """Return the meaning of the interval in words."""
        if math.isnan(self.low):
            return "not measured"
        if self.low <= 0 <= self.high:
            return "may be chance"
        return "B is better" if self.low > 0 else "B is worse"


def paired_bootstrap(
    first: Scores, second: Scores, images: int, resamples: int = 1000, seed: int = 0
) -> dict[str, Difference]:
    r"""Return the differences of two models' scores with their 95 % percentile intervals.

    Each resample draws as many test images as there are, with replacement, and scores both models
    on the same draw, so that images that are hard for both models cancel. The interval leaves out
    2.5 % of the resampled differences on each side (Efron and Tibshirani, "An Introduction to the
    Bootstrap", Section 13.3). It covers the chance in the choice of test images, not the chance in
    training.

    Raises:
        ValueError: fewer than 100 resamples, too few for the interval's ends.
    """
    if resamples < 100:
        raise ValueError(f"a 95 % interval needs at least 100 resamples, got {resamples}")
    generator = np.random.default_rng(seed)
    as_they_are = np.ones((1, images), dtype=np.int32)
    one, other = first(as_they_are), second(as_they_are)
    draws: dict[str, list[NDArray[np.float64]]] = {name: [] for name in one}
    sizes = [BLOCK] * (resamples // BLOCK) + [resamples % BLOCK] * (resamples % BLOCK > 0)
    for size in tqdm(sizes, desc="resamples", unit_scale=BLOCK, leave=False, disable=None):
        weights = _resampled(generator, size, images)
        before, after = first(weights), second(weights)
        for name, differences in draws.items():
            differences.append(after[name] - before[name])
    return {
        name: Difference(
            float(one[name][0]), float(other[name][0]), *_interval(np.concatenate(differences))
        )
        for name, differences in draws.items()
    }


def _resampled(generator: np.random.Generator, size: int, images: int) -> NDArray[np.int32]:
    """Return the counts (size, images) of each image in each resample."""
    drawn = generator.integers(images, size=(size, images))
    return np.stack([np.bincount(row, minlength=images) for row in drawn]).astype(np.int32)


def _interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 2.5 and 97.5 % quantiles of the resamples that have the score."""
    known = differences[~np.isnan(differences)]
    if not known.size:
        return math.nan, math.nan
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
