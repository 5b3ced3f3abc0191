"""The last scores of runs by config and seed: means, and differences of the same seeds."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmdet_ltnorm.results.groups import ACCURACIES, LVIS_APS
from mmdet_ltnorm.results.logs import read_validations

# Scores by config name and seed.
Results = dict[str, dict[int, dict[str, float]]]


def last_step(cfg: Mapping[str, Any]) -> int | None:
    """Return the last epoch of a config's run, or the last iteration if it counts iterations."""
    loop = cfg.get("train_cfg") or {}
    return loop.get("max_epochs", loop.get("max_iters"))


def last_scores(work_dir: str | Path, step: int | None = None) -> dict[str, float]:
    """Return the scores of the last validation in a work directory, none before the first.

    Args:
        step: the epoch, or the iteration of a run that counts those, that must have been validated.
            A run that was killed has earlier scores, but none of its last epoch.
    """
    # mmengine validates after the last epoch whatever the interval, so the last record is its.
    validations = read_validations(work_dir)
    last = validations[-1] if validations else {}
    # Step 0 is what mmengine's logger writes in a run of iterations, unless told to count those.
    if step is not None and last.get("step") not in (0, step):
        return {}
    timing = ("step", "time", "data_time")
    return {name: float(value) for name, value in last.items() if name not in timing}


def in_percent(scores: Mapping[str, float]) -> dict[str, float]:
    """Return scores in percent; detectors log them as fractions."""
    parts = ("lvis/", "coco/")
    return {k: 100 * v if k.startswith(parts) else v for k, v in scores.items()}


def default_metrics(results: Results) -> list[str]:
    """Return the scores that a table shows: by groups of classes, of classifiers or of detectors.

    For plain COCO sets this is AP, for others all scores; accuracy before the first score.
    """
    found = dict.fromkeys(m for runs in results.values() for run in runs.values() for m in run)
    for metrics in ACCURACIES + LVIS_APS, ["coco/bbox_mAP", "coco/segm_mAP"]:
        if shown := [metric for metric in metrics if metric in found]:
            return shown
    return list(found) or ACCURACIES


class Estimate(NamedTuple):
    """A mean over seeds with its spread: standard deviation, or error of the mean."""

    mean: float
    spread: float
    n: int

    def of_mean(self) -> "Estimate":
        """Return the standard error of the mean in place of the standard deviation."""
        return self._replace(spread=self.spread / math.sqrt(self.n) if self.n else math.nan)

    def text(self, form: str = ".1f") -> str:
        """Return ``mean ± spread``; a spread takes two values."""
        if math.isnan(self.mean):
            return "n/a"
        spread = "n/a" if math.isnan(self.spread) else f"{self.spread:.1f}"
        return f"{self.mean:{form}} ± {spread}"


def means(results: Results, metric: str) -> dict[str, Estimate]:
    """Return each config's mean score and the standard deviation of single runs."""
    return {
        name: estimate([scores.get(metric, math.nan) for scores in by_seed.values()])
        for name, by_seed in results.items()
    }


def difference(results: Results, metric: str, name: str, baseline: str) -> Estimate:
    r"""Return the mean difference of two configs, seed by seed, and its standard error.

    With the differences :math:`d_s` of the n seeds that both have, :math:`\mathrm{sd}(d)/\sqrt n`.
    """
    seeds = sorted(results[name].keys() & results[baseline].keys())
    pairs = [(results[name][seed], results[baseline][seed]) for seed in seeds]
    gaps = [one.get(metric, math.nan) - other.get(metric, math.nan) for one, other in pairs]
    return estimate(gaps).of_mean()


def over_seeds(values: Sequence[float], form: str = ".1f") -> str:
    """Return the mean of the seeds' values with its standard error; one seed has no error.

    If ``form`` gives significant digits, the error has one digit, or two if the first is a 1, and
    the mean ends at the error's last digit.
    """
    mean, error, _ = estimate(values).of_mean()
    if math.isnan(mean):
        return "n/a"
    if math.isnan(error):
        return f"{mean:{form}}"
    if form.endswith("g") and error > 0:
        digits = math.floor(math.log10(error))
        form = f".{max(0, -digits + (error < 2 * 10**digits))}f"
    return f"{mean:{form}} ± {error:{form}}"


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of values with their standard deviation."""
    if not values:
        return Estimate(math.nan, math.nan, 0)
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Estimate(float(np.mean(values)), deviation, len(values))
