"""Image classifiers with narrow networks, and samples with labels."""

import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import BaseDataElement

import mmdet_ltnorm.classification  # noqa: F401
import mmdet_ltnorm.data  # noqa: F401
import mmdet_ltnorm.losses  # noqa: F401
import mmdet_ltnorm.predictors  # noqa: F401, these register what a config names

RESNET_8 = dict(type="ResNetCIFAR", depth=8)
RESNET_50 = dict(
    type="ResNet", depth=50, base_channels=8, norm_eval=False, zero_init_residual=False
)


def build(backbone, predictor="Linear", num_classes=5, **kwargs):
    DefaultScope.get_instance("test", scope_name="mmdet")
    head = dict(type="ClsHead", num_classes=num_classes, predictor=dict(type=predictor))
    model = MODELS.build(dict(type="ImageClassifier", backbone=backbone, head=head, **kwargs))
    model.init_weights()
    return model


def with_nbn(backbone):
    return dict(type="LTNormBackbone", backbone=backbone, norm_cfg=dict(type="NBN"))


def samples(labels):
    elements = [BaseDataElement() for _ in labels]
    for element, label in zip(elements, labels, strict=True):
        element.gt_label = torch.tensor([label])
    return elements
