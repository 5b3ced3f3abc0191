"""Transforms of classification that mmcv and mmdet lack.

Take from them: LoadImageFromFile, Resize, ResizeShortestEdge, CenterCrop, RandomApply,
RandomGrayscale and, for larger images, RandomFlip. Images are uint8 or floats from 0 to 255, blue
first; the data preprocessor normalises them.
"""

import math
import random

import cv2
import mmcv.transforms
import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmengine.registry import TRANSFORMS

from mmdet_ltnorm.data import image_ops
from mmdet_ltnorm.data.cls_data_sample import ClsDataSample
from mmdet_ltnorm.data.image_files import ImageError


@TRANSFORMS.register_module(force=True)
class LoadImageFromFile(mmcv.transforms.LoadImageFromFile):
    """mmcv's transform, replaced in all configs so that errors name the image.

    Raises:
        ImageError: the file is missing, empty, damaged or no image.
    """

    def transform(self, results: dict) -> dict | None:
        """Set `img`, `img_shape` and `ori_shape`."""
        try:
            return super().transform(results)
        except (AssertionError, AttributeError, OSError, cv2.error) as error:
            reason = error.strerror if isinstance(error, OSError) else "damaged, empty or no image?"
            raise ImageError(
                f"{results['img_path']} is not an image that OpenCV can read: {reason}"
            ) from error


@TRANSFORMS.register_module()
class PadCrop(BaseTransform):
    """Pad an image with black on all sides and crop its own size at a random place."""

    def __init__(self, padding: int = 4) -> None:
        self.padding = padding

    def transform(self, results: dict) -> dict:
        """Change `img`."""
        image, pad = results["img"], self.padding
        height, width = image.shape[:2]
        padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
        top, left = random.randint(0, 2 * pad), random.randint(0, 2 * pad)
        results["img"] = padded[top : top + height, left : left + width]
        return results


@TRANSFORMS.register_module()
class HorizontalFlip(BaseTransform):
    """Mirror an image with probability 1/2.

    As mmcv's RandomFlip does, which draws with NumPy's `choice`: for images of 32x32 pixels that
    is a quarter of the time of the whole pipeline (`benchmarks/cls_pipeline.py`).
    """

    def transform(self, results: dict) -> dict:
        """Change `img`."""
        if random.random() < 0.5:
            results["img"] = cv2.flip(results["img"], 1)
        return results


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """Crop a random part of an image and scale it to `size` x `size` pixels.

    The part's share of the area is uniform in `scale`, its aspect ratio log-uniform in
    [3/4, 4/3]. If ten draws do not fit, it is the largest central part of an allowed ratio.
    """

    ratio = (3 / 4, 4 / 3)

    def __init__(self, size: int, scale: tuple[float, float] = (0.08, 1.0)) -> None:
        self.size = size
        self.scale = scale

    def transform(self, results: dict) -> dict:
        """Change `img` and `img_shape`."""
        image = results["img"]
        top, left, height, width = self._part(*image.shape[:2])
        part = image[top : top + height, left : left + width]
        # OpenCV's linear interpolation skips pixels when it shrinks.
        shrinks = min(height, width) > self.size
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        results["img"] = cv2.resize(part, (self.size, self.size), interpolation=interpolation)
        results["img_shape"] = (self.size, self.size)
        return results

    def _part(self, full_height: int, full_width: int) -> tuple[int, int, int, int]:
        low, high = map(math.log, self.ratio)
        for _ in range(10):
            area = full_height * full_width * random.uniform(*self.scale)
            ratio = math.exp(random.uniform(low, high))
            height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < height <= full_height and 0 < width <= full_width:
                top = random.randint(0, full_height - height)
                left = random.randint(0, full_width - width)
                return top, left, height, width
        width = min(full_width, round(full_height * self.ratio[1]))
        height = min(full_height, round(full_width / self.ratio[0]))
        return (full_height - height) // 2, (full_width - width) // 2, height, width


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """Change brightness, contrast, saturation and hue at random, in random order.

    The first three are multiplied by a factor uniform in [max(0, 1 - v), 1 + v], the hue is
    turned by up to v of the circle either way. Use it in RandomApply for a probability.
    """

    def __init__(
        self,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
    ) -> None:
        factors = (
            (image_ops.brightness, brightness),
            (image_ops.contrast, contrast),
            (image_ops.color, saturation),
        )
        self.ranges = [(op, max(0, 1 - v), 1 + v) for op, v in factors if v]
        if hue:
            self.ranges.append((image_ops.hue, -hue, hue))

    def transform(self, results: dict) -> dict:
        """Change `img`."""
        for op, low, high in random.sample(self.ranges, len(self.ranges)):
            results["img"] = op(results["img"], random.uniform(low, high))
        return results


@TRANSFORMS.register_module()
class Cutout(BaseTransform):
    """Blacken a square of `size` pixels about a random pixel (DeVries and Taylor, 2017).

    The part of the square outside of the image is lost; mmdet's CutOut puts a corner at the random
    pixel.
    """

    def __init__(self, size: int = 16) -> None:
        self.size = size

    def transform(self, results: dict) -> dict:
        """Change `img`."""
        image = results["img"].copy()
        height, width = image.shape[:2]
        y, x = random.randrange(height), random.randrange(width)
        half = self.size // 2
        image[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = 0
        results["img"] = image
        return results


@TRANSFORMS.register_module()
class MultiView(BaseTransform):
    """Make several views of one image, each by its own list of transforms.

    `img` becomes the list of views, in the order of `views`, which `PackClsInputs` turns into a
    list of tensors.
    """

    def __init__(self, views: list[list[dict]]) -> None:
        self.views = [Compose(view) for view in views]

    def transform(self, results: dict) -> dict | None:
        """Replace `img` by its views; return None if a view's transform returns None."""
        made = [view({**results, "img": results["img"].copy()}) for view in self.views]
        if any(view is None for view in made):
            return None
        results["img"] = [view["img"] for view in made]
        return results


@TRANSFORMS.register_module()
class PackClsInputs(BaseTransform):
    """Ends a pipeline: packs `inputs`, a tensor (C, H, W) or a list of views, and `data_samples`.

    The tensor has the image's type. The `ClsDataSample` has `gt_label`, and as meta information
    `sample_idx` and `img_path`, as far as the image has them.
    """

    def transform(self, results: dict) -> dict:
        """Return `inputs` and `data_samples`."""
        image = results["img"]
        inputs = (
            [_to_tensor(view) for view in image] if isinstance(image, list) else _to_tensor(image)
        )
        data_sample = ClsDataSample()
        for key in "img_path", "sample_idx":
            if key in results:
                # The constructor would copy them deeply: a third of the time that a sample takes.
                data_sample.set_field(results[key], key, field_type="metainfo")
        if "gt_label" in results:
            data_sample.gt_label = torch.tensor([results["gt_label"]])
        return {"inputs": inputs, "data_samples": data_sample}


def _to_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
