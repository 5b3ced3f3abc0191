"""The input of a model's classifier, batch by batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mmdet_ltnorm.results.trained import is_detector

CLASSIFIERS = ("head.predictor", "roi_head.bbox_head.fc_cls")


class Batch(NamedTuple):
    """Features (N, D), the logits (N, K) of the K classes, and the labels (N,)."""

    features: Tensor
    logits: Tensor
    labels: Tensor


def classifier_layer(model: nn.Module) -> nn.Module:
    """Return the layer that turns features into logits.

    Raises:
        ValueError: the model has none where ``ImageClassifier`` and mmdet's detectors have it.
    """
    for name in CLASSIFIERS:
        try:
            return model.get_submodule(name)
        except AttributeError:
            continue
    children = ", ".join(name for name, _ in model.named_children())
    raise ValueError(
        f"{type(model).__name__} has no {' or '.join(CLASSIFIERS)}, whose input would be analysed; "
        f"it has {children}"
    )


@contextmanager
def inputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list to which each forward pass inside the block appends the layer's input."""
    inputs: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0].detach()))
    try:
        yield inputs
    finally:
        handle.remove()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode inside the block."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@torch.no_grad()
def labelled_batches(model: nn.Module, loader: Any) -> Iterator[Batch]:
    """Yield the classifier's inputs, logits and labels of each batch, with a progress bar.

    The input of an image classifier is the pooled feature of each image. The input of an mmdet
    detector with one box head is the feature of each annotated box, which is classified as if it
    were a proposal; the background's logit is left out.
    """
    classify = _classified_boxes if is_detector(model) else _classified_images
    with evaluating(model), inputs_of(classifier_layer(model)) as inputs:
        for data in tqdm(loader, desc="test images", unit="batch", leave=False, disable=None):
            inputs.clear()
            logits, labels = classify(model, model.data_preprocessor(data, False))
            if len(labels):
                yield Batch(torch.cat(inputs), logits, labels)


def _classified_images(model: nn.Module, data: dict[str, Any]) -> tuple[Tensor, Tensor]:
    labels = torch.cat([sample.gt_label for sample in data["data_samples"]])
    return model(data["inputs"], mode="tensor"), labels


def _classified_boxes(model: nn.Module, data: dict[str, Any]) -> tuple[Tensor, Tensor]:
    from mmdet.structures.bbox import bbox2roi

    truth = [sample.gt_instances for sample in data["data_samples"]]
    head, maps = model.roi_head, model.extract_feat(data["inputs"])
    rois = bbox2roi([instances.bboxes for instances in truth])
    features = head.bbox_roi_extractor(maps[: head.bbox_roi_extractor.num_inputs], rois)
    if head.with_shared_head:
        features = head.shared_head(features)
    logits = head.bbox_head(features)[0][:, : head.bbox_head.num_classes]
    return logits, torch.cat([instances.labels for instances in truth])
