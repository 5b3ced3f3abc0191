"""Digits-LT: handwritten digits that come with scikit-learn, made long-tailed."""

import cv2
import numpy as np
from mmengine.registry import DATASETS

from mmdet_ltnorm.data.labelled import LongTailedArrays

TRAIN_PER_CLASS = 100
IMAGE_SIZE = 16


@DATASETS.register_module()
class DigitsLT(LongTailedArrays):
    """The 1,797 digits of scikit-learn (UCI, Alpaydin and Kaynak 1998) at 16x16 pixels.

    The first 100 images of each digit are the training split, which `imbalance_factor` thins out
    by CIFAR-LT's protocol; the other 797 are the test split, 74 to 83 of a digit. The original
    8x8 pixels with 17 grey levels are enlarged twofold, to three equal channels.

    Raises:
        ImportError: scikit-learn is not installed.
    """

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """Load the split from scikit-learn."""
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise ImportError(
                "DigitsLT takes its images from scikit-learn: pip install scikit-learn"
            ) from error
        content = load_digits()
        labels = content.target.astype(np.int64)
        in_train = np.zeros(len(labels), bool)
        for digit in range(10):
            in_train[np.flatnonzero(labels == digit)[:TRAIN_PER_CLASS]] = True
        chosen = in_train if self.split == "train" else ~in_train
        grey = (content.images[chosen] * (255 / 16)).round().astype(np.uint8)
        images = np.stack([cv2.resize(image, (IMAGE_SIZE, IMAGE_SIZE)) for image in grey])
        return images[..., None].repeat(3, axis=-1), labels[chosen], tuple("0123456789")
