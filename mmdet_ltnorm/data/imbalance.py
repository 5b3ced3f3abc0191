"""How many images each class keeps in a long-tailed subset, and which ones."""

from collections.abc import Sequence

import numpy as np


def exponential_counts(largest: int, num_classes: int, imbalance_factor: float) -> list[int]:
    """Return class sizes n_k = int(largest * IF^(-k / (C - 1))) for k = 0 ... C - 1.

    The profile of CIFAR-10/100-LT (Cui et al., CVPR 2019).
    """
    ratio = _ratio(imbalance_factor)
    last = max(num_classes - 1, 1)
    counts = [int(largest * ratio ** (k / last)) for k in range(num_classes)]
    return _checked(counts, largest, imbalance_factor)


def step_counts(largest: int, num_classes: int, imbalance_factor: float) -> list[int]:
    """Return `largest` for the first half of the classes and int(largest / IF) for the rest."""
    ratio = _ratio(imbalance_factor)
    head = num_classes // 2
    counts = [largest] * head + [int(largest * ratio)] * (num_classes - head)
    return _checked(counts, largest, imbalance_factor)


def _ratio(imbalance_factor: float) -> float:
    if not imbalance_factor >= 1:  # so that NaN is refused, too
        raise ValueError(
            "imbalance_factor is the largest class's size over the smallest's, at least 1, "
            f"got {imbalance_factor}"
        )
    return 1 / imbalance_factor


def _checked(counts: list[int], largest: int, imbalance_factor: float) -> list[int]:
    if counts[-1] < 1:
        raise ValueError(
            f"imbalance_factor {imbalance_factor} leaves the last class without an image, "
            f"for the largest has {largest}; give a factor of at most {largest}"
        )
    return counts


def subset_indices(labels: np.ndarray, counts: Sequence[int], seed: int = 0) -> np.ndarray:
    """Draw counts[k] images of each class k, as the public long-tailed CIFAR code does.

    Class by class in ascending order, the indices of a class, in the data's order, are shuffled
    with NumPy's legacy generator and the first counts[k] kept. With `seed` 0 these are the images
    of LDAM-DRW, RIDE and MiSLAS, in their order: one block after the other for each class.
    """
    rng = np.random.RandomState(seed)
    kept = []
    for label, count in enumerate(counts):
        members = np.flatnonzero(labels == label)
        if len(members) < count:
            raise ValueError(f"class {label} has {len(members)} images, {count} are asked for")
        rng.shuffle(members)
        kept.append(members[:count])
    return np.concatenate(kept)
