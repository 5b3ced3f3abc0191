"""The operations of AutoAugment and RandAugment on arrays, after Pillow's of the same names.

Images are BGR of shape (H, W, 3), uint8 or of a float type with values from 0 to 255. The
operations on colours are defined on 8 bits: a float image is rounded to them and comes back as
float. Those on positions interpolate floats as they are. None changes its argument.
"""

from collections.abc import Callable
from functools import wraps

import cv2
import numpy as np

FILL = (128, 128, 128)
LEVELS = np.arange(256)
LUMA = np.array([0.114, 0.587, 0.299], np.float32)  # of blue, green, red (ITU-R 601)


def _on_levels(op: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Let an operation on uint8 images take float images."""

    @wraps(op)
    def on_any(image: np.ndarray, *args: float) -> np.ndarray:
        if image.dtype == np.uint8:
            return op(image, *args)
        low, high, rounded = image.min(), image.max(), np.rint(image).clip(0, 255)
        if (low < 0 and high < 16) or (high <= 1 and (rounded != image).any()):
            raise ValueError(
                f"{op.__name__} takes uint8 images or floats from 0 to 255, got {image.dtype} "
                f"from {low:.4g} to {high:.4g}; normalise after it"
            )
        return op(rounded.astype(np.uint8), *args).astype(image.dtype)

    return on_any


def _lookup(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace each level; `table` is (256,) for all channels or (256, 3), cut to 0 ... 255."""
    table = table.clip(0, 255).astype(np.uint8)
    return cv2.LUT(image, table if table.ndim == 1 else table[None])


@_on_levels
def invert(image: np.ndarray) -> np.ndarray:
    """Return 255 - value."""
    return cv2.bitwise_not(image)


@_on_levels
def solarize(image: np.ndarray, threshold: float) -> np.ndarray:
    """Invert the values from `threshold` on."""
    return _lookup(image, np.where(threshold > LEVELS, LEVELS, 255 - LEVELS))


@_on_levels
def solarize_add(image: np.ndarray, addend: float) -> np.ndarray:
    """Add to the values below 128."""
    return _lookup(image, np.where(LEVELS < 128, LEVELS + int(addend), LEVELS))


@_on_levels
def posterize(image: np.ndarray, bits: float) -> np.ndarray:
    """Keep the highest `bits` of 8 bits."""
    return _lookup(image, LEVELS & ~(2 ** (8 - int(bits)) - 1))


@_on_levels
def auto_contrast(image: np.ndarray) -> np.ndarray:
    """Stretch each channel so that its darkest value becomes 0 and its brightest 255."""
    return _lookup(image, np.stack([_stretching(c) for c in cv2.split(image)], axis=1))


def _stretching(channel: np.ndarray) -> np.ndarray:
    low, high, _, _ = cv2.minMaxLoc(channel)
    if low == high:
        return LEVELS
    scale = 255 / (high - low)
    return LEVELS * scale - low * scale


@_on_levels
def equalize(image: np.ndarray) -> np.ndarray:
    """Spread the values of each channel evenly over 0 ... 255."""
    return _lookup(image, np.stack([_spreading(c) for c in cv2.split(image)], axis=1))


def _spreading(channel: np.ndarray) -> np.ndarray:
    histogram = cv2.calcHist([channel], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    brightest = int(histogram[histogram.nonzero()[0][-1]])
    step = (channel.size - brightest) // 255
    if step == 0:
        return LEVELS
    return (histogram.cumsum() - histogram + step // 2) // step


@_on_levels
def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black: 0 is black, 1 the image, 2 twice as bright."""
    return _lookup(image, LEVELS * factor)


@_on_levels
def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean grey: 0 is grey, 1 the image."""
    mean = round(cv2.mean(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))[0])
    return _lookup(image, mean + factor * (LEVELS - mean))


@_on_levels
def color(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with its own grey values: 0 is black and white, 1 the image."""
    # Each channel is a weighted sum of the three: one pass instead of three.
    return cv2.transform(image, factor * np.eye(3, dtype=np.float32) + (1 - factor) * LUMA)


@_on_levels
def sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with a smoothed image: 0 is smooth, 1 the image; the outermost pixels stay."""
    smooth = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
    kernel = (1 - factor) * smooth
    kernel[1, 1] += factor
    result = cv2.filter2D(image, -1, kernel)
    result[[0, -1]], result[:, [0, -1]] = image[[0, -1]], image[:, [0, -1]]
    return result


@_on_levels
def hue(image: np.ndarray, turn: float) -> np.ndarray:
    """Turn the hues; `turn` is the part of the full circle."""
    converted = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL)
    converted[..., 0] += np.uint8(round(256 * turn) % 256)  # wraps around, as hues do
    return cv2.cvtColor(converted, cv2.COLOR_HSV2BGR_FULL)


def shear_x(image: np.ndarray, factor: float) -> np.ndarray:
    """Take pixel (x, y) from (x + factor y, y)."""
    return _sample(image, [[1, factor, factor / 2], [0, 1, 0]], cv2.INTER_CUBIC)


def shear_y(image: np.ndarray, factor: float) -> np.ndarray:
    """Take pixel (x, y) from (x, y + factor x)."""
    return _sample(image, [[1, 0, 0], [factor, 1, factor / 2]], cv2.INTER_CUBIC)


def translate_x(image: np.ndarray, part: float) -> np.ndarray:
    """Take pixel (x, y) from (x + part width, y), in whole pixels."""
    shift = np.floor(part * image.shape[1] + 0.5)
    return _sample(image, [[1, 0, shift], [0, 1, 0]], cv2.INTER_NEAREST)


def translate_y(image: np.ndarray, part: float) -> np.ndarray:
    """Take pixel (x, y) from (x, y + part height), in whole pixels."""
    shift = np.floor(part * image.shape[0] + 0.5)
    return _sample(image, [[1, 0, 0], [0, 1, shift]], cv2.INTER_NEAREST)


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turn about the centre, anticlockwise."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1)
    return _sample(image, matrix, cv2.INTER_NEAREST)


def _sample(image: np.ndarray, matrix: list | np.ndarray, interpolation: int) -> np.ndarray:
    """Take each pixel from where `matrix` sends its position; grey from outside the image.

    Positions are those of pixel centres, counted from 0: Pillow counts them from 0.5, to which
    the shears' constant terms owe their halves.
    """
    result = cv2.warpAffine(
        image,
        np.asarray(matrix, np.float64),
        image.shape[1::-1],
        flags=interpolation | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=FILL,
    )
    # Cubic interpolation overshoots; for uint8 OpenCV itself stops it.
    return result if image.dtype == np.uint8 else result.clip(0, 255)
