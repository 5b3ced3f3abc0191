"""Batches of images on their way into a classifier."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import ImgDataPreprocessor
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ClsDataPreprocessor(ImgDataPreprocessor):
    """The host's preprocessor, one batch at a time, for one or several views of each image.

    Images are stacked before they are moved and normalized, which on 32x32 images saves most of
    the time, and so are the labels. ``inputs`` becomes a tensor (N, C, H, W), or a list of them,
    one for each view.

    Raises:
        ValueError: the images of a batch differ in size.
    """

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Stack, move, convert the channel order and normalize."""
        inputs = data["inputs"]
        several = not isinstance(inputs, Tensor) and not _is_image(inputs[0])
        views = [
            super(ClsDataPreprocessor, self).forward({"inputs": _stacked(view)}, training)["inputs"]
            for view in (inputs if several else [inputs])
        ]
        samples = self.cast_data(self._with_labels_moved(data.get("data_samples")))
        return {"inputs": views if several else views[0], "data_samples": samples}

    def _with_labels_moved(self, samples: Sequence[Any] | None) -> Sequence[Any] | None:
        """Move the labels by one copy: each copy to a GPU costs the host as much as a kernel."""
        if not samples or not all(hasattr(s, "replaced") and "gt_label" in s for s in samples):
            return samples
        labels = [sample.gt_label for sample in samples]
        if labels[0].device == torch.device(self.device):
            return samples
        moved = self.cast_data(torch.cat(labels)).split([len(label) for label in labels])
        pairs = zip(samples, moved, strict=True)
        return [sample.replaced(gt_label=label) for sample, label in pairs]


def _is_image(item: Any) -> bool:
    return isinstance(item, Tensor) and item.dim() == 3


def _stacked(images: Tensor | Sequence[Tensor]) -> Tensor:
    if isinstance(images, Tensor):
        return images
    shapes = {tuple(image.shape) for image in images}
    if len(shapes) > 1:
        raise ValueError(
            f"the images of a batch must have one size, got (C, H, W) = {sorted(shapes)}: crop or "
            "resize them to one size in the pipeline"
        )
    return torch.stack(list(images))
