"""An untrained classifier and 60 random images, for tests of the analyses."""

import numpy as np
import torch
from mmengine.registry import MODELS, DefaultScope

from mmdet_ltnorm.class_groups import class_groups
from mmdet_ltnorm.data import ClsDataSample

COUNTS = [500, 200, 50, 5, 3]
GROUPS = class_groups(COUNTS)
IMAGES, CLASSES, CHANNELS = 60, len(COUNTS), 64


def classifier(predictor="Linear", norm_cfg=None):
    """Return a ResNet-8 classifier whose norms have random statistics."""
    DefaultScope.get_instance("test", scope_name="mmdet")
    torch.manual_seed(0)
    backbone = dict(type="ResNetCIFAR", depth=8, norm_cfg=norm_cfg or dict(type="BN"))
    head = dict(type="ClsHead", num_classes=CLASSES, predictor=dict(type=predictor))
    model = MODELS.build(dict(type="ImageClassifier", backbone=backbone, head=head))
    model.init_weights()
    model.train()
    for data in loader(20):
        model(**model.data_preprocessor(data, True), mode="loss")
    return model.eval()


def loader(batch_size):
    """Return batches of the images, as a data loader collates them."""
    images, labels = images_and_labels()
    return [
        {
            "inputs": part,
            "data_samples": [ClsDataSample(gt_label=label[None]) for label in own],
        }
        for part, own in zip(images.split(batch_size), labels.split(batch_size), strict=True)
    ]


def images_and_labels():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, 3, 8, 8, generator=generator)
    labels = torch.randint(CLASSES, (IMAGES,), generator=generator)
    return images + labels[:, None, None, None] / 2, labels


@torch.no_grad()
def reference_features(model):
    """Return all features (N, C) and labels, computed without the package's analyses."""
    images, labels = images_and_labels()
    return model.backbone(images)[-1].mean((2, 3)).numpy(), labels.numpy()


def class_accuracy(predicted, labels):
    """Return the accuracy of each class in percent, by loops."""
    return np.array([100 * np.mean(predicted[labels == c] == c) for c in range(CLASSES)])
