"""LVIS's AP of a class for many weightings of the images, fast enough for a bootstrap."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mmdet_ltnorm.evaluation.lvis_matches import ClassMatches

RECALLS = np.linspace(0, 1, 101)


class WeightedAP:
    r"""AP of one class's detections as a function of the images' weights.

    With :math:`w_i` the weight of the image of detection i, the sums over the first n being

    .. math:: P_n = \frac{\sum_i w_i h_i}{\sum_i w_i c_i}, \quad R_n = \sum_i w_i h_i / G_w,

    h for hits, c for those that count, and :math:`G_w` the weight of all objects. As in lvis-api,
    AP is the mean over the thresholds and 101 recalls of the best precision at that recall or
    beyond. An image of weight 2 counts as two equal images do.

    Precision rises at hits only, so other detections matter only in the sums. The sums stay
    integers, which NumPy adds up four times as fast as floats.

    Args:
        images: number of images.
    """

    def __init__(self, matches: ClassMatches, images: int) -> None:
        hits = np.flatnonzero(matches.hit.any(0))  # at any threshold
        self._hit, self._image = matches.hit[:, hits], matches.image[hits]
        self._loose = ~matches.exhaustive[hits]
        counted = np.flatnonzero(matches.exhaustive)
        segment = np.searchsorted(hits, counted)  # each sum ends at a hit
        before = segment < len(hits)
        self._seen = _indicator(segment[before], matches.image[counted[before]], len(hits), images)
        none = np.zeros_like(matches.object_image)
        self._objects = _indicator(none, matches.object_image, 1, images)

    def __call__(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return AP for each column of weights, (images, B) to (B,); NaN without objects."""
        objects = (self._objects @ weights)[0]
        seen = np.cumsum((self._seen @ weights).T, axis=1)
        own = np.ascontiguousarray(weights[self._image].T)
        reached, width = _reached(objects, own)
        total = np.zeros(len(objects))
        for hit in self._hit:
            places = np.flatnonzero(hit)
            found = own[:, places]
            true, counted = np.cumsum(found, axis=1), seen[:, places]
            if self._loose[places].any():  # hits count, exhaustive or not
                counted += np.cumsum(found * self._loose[places], axis=1)
            precision = true / np.maximum(counted, 1)
            best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            recalls = reached.take(true + width)
            recalls[:, 1:] -= recalls[:, :-1]
            total += np.einsum("bn,bn->b", best, recalls)
        return np.where(objects > 0, total / (len(self._hit) * len(RECALLS)), np.nan)


def _indicator(
    rows: NDArray[np.int64], columns: NDArray[np.int64], height: int, width: int
) -> csr_array:
    """Return the matrix that sums the weights of the images ``columns`` into ``rows``."""
    ones = np.ones(len(rows), dtype=np.int32)
    return csr_array((ones, (rows, columns)), shape=(height, width))


def _reached(
    objects: NDArray[np.int32], own: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many of the 101 recalls 0, 1, ... true detections reach, and where rows begin."""
    most = int(own.sum(1).max(initial=0)) + 1
    recall = np.minimum(np.arange(most) / np.maximum(objects, 1)[:, None], 1)
    nearest = np.rint(100 * recall).astype(np.int64)
    # The comparison is lvis-api's, in floats: 0.35 < RECALLS[35].
    return nearest + (RECALLS[nearest] <= recall), most * np.arange(len(objects))[:, None]
