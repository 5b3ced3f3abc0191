"""The number of images for each category of mini-LVIS, and the categories of each image."""

import math
from bisect import bisect_right
from itertools import count

import numpy as np

from mmdet_ltnorm.class_groups import RARE_FIRST, frequency_group

CATEGORIES_PER_IMAGE = 2.75  # on average, at most
LEAST_TRAIN_IMAGES = 2  # of the rarest category
LEAST_VAL_IMAGES = 5  # of every category: an AP over fewer says little


def train_counts(num_images: int, num_categories: int, populate_groups: bool) -> np.ndarray:
    """Return how many images show each category, descending: the quantiles of p(n) ~ 1/n.

    Raises:
        ValueError: too few images for the categories, or for all three groups where asked.
    """
    found = _power_law(num_images, num_categories)
    if not _enough(found, populate_groups):
        sizes = count(num_images + 1)
        least = next(n for n in sizes if _enough(_power_law(n, num_categories), populate_groups))
        where = " in all three frequency groups" if populate_groups else ""
        raise ValueError(
            f"num_train must be at least {least} for {num_categories} categories{where}, "
            f"got {num_images}"
        )
    return found


def val_counts(num_images: int, num_categories: int, populate_groups: bool) -> np.ndarray:
    """Return how many images show each category: the same number for all.

    Raises:
        ValueError: too few images for every category to occur, often enough where asked.
    """
    least_each = LEAST_VAL_IMAGES if populate_groups else 1
    least = math.ceil(least_each * num_categories / CATEGORIES_PER_IMAGE)
    if num_images < least:
        raise ValueError(
            f"num_val must be at least {least} for {num_categories} categories with {least_each} "
            f"images each, got {num_images}"
        )
    return np.full(num_categories, int(CATEGORIES_PER_IMAGE * num_images / num_categories))


def share_out(counts: np.ndarray, num_images: int, rng: np.random.Generator) -> list[list[int]]:
    """Return the categories of each image, such that category k is in counts[k] images."""
    plan: list[list[int]] = [[] for _ in range(num_images)]
    for category in np.argsort(-counts, kind="stable"):
        # Images get about equally many; the noise lets any two categories meet in one image.
        load = np.array([len(present) for present in plan]) + rng.uniform(0, 2, num_images)
        for image in np.argsort(load)[: counts[category]]:
            plan[image].append(int(category))
    return plan


def _power_law(num_images: int, num_categories: int) -> np.ndarray | None:
    """Return counts with the largest that CATEGORIES_PER_IMAGE allows; None if none fits."""

    def counts(largest: int) -> np.ndarray:
        return np.geomspace(largest, LEAST_TRAIN_IMAGES, num_categories).round().astype(int)

    # No category is in nearly all images, however many images there are.
    candidates = range(LEAST_TRAIN_IMAGES, int(0.6 * num_images) + 1)
    budget = CATEGORIES_PER_IMAGE * num_images
    fitting = bisect_right(candidates, budget, key=lambda largest: counts(largest).sum())
    return counts(candidates[fitting - 1]) if fitting else None


def _enough(counts: np.ndarray | None, populate_groups: bool) -> bool:
    if counts is None:
        return False
    return not populate_groups or {frequency_group(images) for images in counts} == set(RARE_FIRST)
