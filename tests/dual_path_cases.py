"""A classifier, views and samples for the tests of the compound and the split path."""

import torch
from mmengine.registry import MODELS

import mmdet_ltnorm.classification  # noqa: F401
import mmdet_ltnorm.losses  # noqa: F401, these register what a config names
from mmdet_ltnorm.data.cls_data_sample import ClsDataSample

COUNTS = [100, 70, 50, 30, 20, 10]
LABELS = [0, 1, 2, 5, 3, 4, 0, 0]
CBN_CFG = dict(type="CBN", num_components=3)


def classifier(kind="DualPathClassifier", norm_cfg=CBN_CFG, **options):
    model = MODELS.build(
        dict(
            type=kind,
            backbone=dict(type="ResNetCIFAR", depth=8, norm_cfg=norm_cfg),
            head=dict(
                type="ClsHead",
                num_classes=len(COUNTS),
                loss=dict(type="BalancedSoftmaxLoss", num_classes=len(COUNTS)),
            ),
            **options,
        )
    )
    model.init_weights()
    for module in (model, model.head.loss_cls):
        if hasattr(module, "set_class_counts"):
            module.set_class_counts(COUNTS)
    return model


def samples(labels=LABELS):
    made = [ClsDataSample() for _ in labels]
    for sample, label in zip(made, labels, strict=True):
        sample.gt_label = torch.tensor([label])
    return made


def views(count=2):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(len(LABELS), 3, 16, 16, generator=generator) for _ in range(count)]


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
