"""How often the intervals of the paired bootstrap are right, on simulated results.

Without a difference, a 95 % interval should leave 0 out in about 5 % of the trials; with a real
difference of two standard errors, in about half of them (0.52 for a normal law).

Measured without a difference: accuracy 5.0 %, many, medium, few 5.8, 5.0, 4.8 % of 400 trials; AP,
APr, APc, APf 4.8, 6.8, 4.5, 5.8 % of 400. With one of two standard errors: accuracy 45.5 % and
AP 50.8 % of 400.
"""

import contextlib
import io

import numpy as np
import pytest

from mmdet_ltnorm.comparison import paired_bootstrap
from mmdet_ltnorm.comparison.classification import AccuracyScores
from mmdet_ltnorm.comparison.detection import DetectionScores
from mmdet_ltnorm.evaluation.lvis_matches import ClassMatches

TRIALS = 400
IMAGES = 400
THRESHOLDS = np.arange(0.5, 1, 0.05)
OBJECTS = {"r": 20, "c": 60, "f": 200}  # of a class


def simulated_accuracies(rng, gain):
    """Return a pair of classifiers on 1,000 samples, some of which are hard for both."""
    counts = np.array([500, 200, 90, 40, 15, 5])
    label = rng.integers(len(counts), size=1000)
    easy = rng.uniform(0.1, 0.8, size=1000)
    models = [AccuracyScores(label, rng.random(1000) < easy + extra, counts) for extra in (0, gain)]
    return *models, 1000


def simulated_detections(rng, gain):
    """Return a pair of detectors on 400 images, some of which are hard for both."""
    easy = rng.uniform(0.2, 0.7, size=IMAGES)
    frequency = [letter for letter in OBJECTS for _ in range(4)]
    objects = [rng.integers(IMAGES, size=OBJECTS[letter]) for letter in frequency]
    models = [
        DetectionScores(
            [_matches(rng, image, easy + extra) for image in objects], frequency, IMAGES
        )
        for extra in (0, gain)
    ]
    return *models, IMAGES


def _matches(rng, objects, found):
    """Draw matches: each object is found with its image's chance; half are false detections."""
    true = objects[rng.random(len(objects)) < found[objects]]
    false = rng.integers(IMAGES, size=len(objects))
    score = np.concatenate([rng.normal(1.5, 1, len(true)), rng.normal(0, 1, len(false))])
    overlap = np.concatenate([rng.uniform(0.5, 1, len(true)), np.zeros(len(false))])
    order = np.argsort(-score)
    image = np.concatenate([true, false])[order]
    hit = overlap[order] >= THRESHOLDS[:, None]
    return ClassMatches(hit, image, rng.random(IMAGES)[image] < 0.9, objects)


def point_differences(simulated, name, gain, trials, seed):
    """Return the differences of many pairs, which give the standard error and a gain's effect."""
    found = []
    for trial in range(trials):
        first, second, size = simulated(np.random.default_rng([seed, trial]), gain)
        ones = np.ones((1, size), dtype=np.int32)
        found.append(second(ones)[name][0] - first(ones)[name][0])
    return np.array(found)


def share_without_zero(simulated, gain, resamples):
    """Return for each score the share of trials whose interval leaves 0 out."""
    excluded = {}
    for trial in range(TRIALS):
        pair = simulated(np.random.default_rng([0, trial]), gain)
        with contextlib.redirect_stderr(io.StringIO()):
            found = paired_bootstrap(*pair, resamples=resamples, seed=trial)
        for name, each in found.items():
            excluded.setdefault(name, []).append(not each.low <= 0 <= each.high)
    return {name: float(np.mean(each)) for name, each in excluded.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("simulated", "name", "resamples"),
    [(simulated_accuracies, "accuracy", 400), (simulated_detections, "AP", 200)],
)
def test_intervals_cover_zero_as_often_as_they_say_and_find_real_differences(
    simulated, name, resamples
):
    without = share_without_zero(simulated, 0.0, resamples)
    error = point_differences(simulated, name, 0.0, 1000, seed=1).std()
    slope = point_differences(simulated, name, 0.1, 1000, seed=2).mean() / 0.1
    gain = 2 * error / slope
    real = share_without_zero(simulated, gain, resamples)
    print(f"\nno difference: {without}\ngain {gain:.4f}, 2 standard errors {2 * error:.2f}: {real}")
    assert all(0.03 <= share <= 0.07 for share in without.values())
    assert 0.42 <= real[name] <= 0.62
