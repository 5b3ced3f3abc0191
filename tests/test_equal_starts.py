"""Networks whose scores are compared start from the same weights wherever they share them."""

import functools
from itertools import groupby

import pytest
import torch
from mmdet.models.layers.normed_predictor import NormedLinear
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, DefaultScope
from small_cls_configs import CONFIGS, LEAVES, host
from tiny_mask_rcnn import tiny_model

from mmdet_ltnorm.norms import NBN

DETECTORS = sorted([*(CONFIGS / "lvis").glob("*.py"), *(CONFIGS / "demo").glob("seesaw*.py")])


def family(path):
    """Return the group within which scores are compared: a data set and backbone; RIDE apart."""
    if path in DETECTORS:
        return path.parent.name
    data, backbone, *_ = path.stem.split("_")
    words = [data, backbone] if data in ("cls", "imagenet", "inat18", "places") else [data]
    return "_".join([*words, *(["ride"] if "_ride" in path.stem else [])])


def narrow(path):
    """Return a leaf's model config, made small, untrained, and with a loss without parameters."""
    cfg = Config.fromfile(path)
    backbone = host(cfg.model)
    if path in DETECTORS:
        head = cfg.model.roi_head.bbox_head
        head.loss_cls = dict(type="CrossEntropyLoss", num_classes=head.num_classes)
        options = tiny_model(head.num_classes)
        cfg.merge_from_dict(options)
        del cfg.model.roi_head.bbox_head.loss_cls["num_classes"]
        if path.parent.name == "lvis":  # pretrained weights leave nothing to zero_init_residual
            host(cfg.model).zero_init_residual = False
        return cfg.model
    if backbone.type == "ResNetCIFAR":
        backbone.depth = 8
    else:
        backbone.update(type="ResNet", depth=18, base_channels=8, init_cfg=None)
        backbone.pop("groups", None), backbone.pop("base_width", None)
    cfg.model.head.num_classes = 10
    cfg.model.head.loss = dict(type="CrossEntropyLoss")
    return cfg.model


@functools.cache
def start(model_cfg):
    """Return the effective weights that a network starts from in a run of seed 0."""
    DefaultScope.get_instance("starts", scope_name="mmdet")
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(eval(model_cfg)))
    model.init_weights()
    weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for name, layer in model.named_modules():
        if isinstance(layer, NBN):
            del weights[f"{name}.bias"]  # NBN's has a length from the start, batch norm's has none
            del weights[f"{name}.weight"]
            # Where it is 1 by design: not without normalization, nor among layers of other widths.
            if layer.normalize and len({peer.num_features for peer in layer.sharing}) == 1:
                weights[f"{name}.weight"] = layer.weight.detach()
        elif isinstance(layer, NormedLinear):  # mmdet draws twice for it, once for what follows
            del weights[f"{name}.weight"]
    return {k: v for k, v in weights.items() if not k.startswith("contrastive_head")}


# A second stage starts from a checkpoint.
FIRST_STAGES = [
    path
    for path in (*LEAVES, *DETECTORS)
    if not any(word in path.stem for word in ("_crt", "_lws", "_decoupled", "_ride_ea"))
]
FAMILIES = {
    name: list(paths) for name, paths in groupby(sorted(FIRST_STAGES, key=family), key=family)
}
QUICK = ("demo", "lvis", "cls_digits", "cls_shapes", "cls_shapes_ride", "cifar10", "cifar10_ride")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FAMILIES],
)
def test_all_networks_of_a_comparison_start_from_equal_weights_where_they_share_them(name):
    first = start(repr(narrow(FAMILIES[name][0]).to_dict()))
    for path in FAMILIES[name][1:]:
        other = start(repr(narrow(path).to_dict()))
        shared = [key for key in first if key in other and other[key].shape == first[key].shape]
        assert "backbone.conv1.weight" in shared or "backbone.shared.conv1.weight" in shared
        for key in shared:
            torch.testing.assert_close(other[key], first[key], msg=f"{path.stem}: {key}")


def test_every_leaf_is_compared_with_another():
    assert min(map(len, FAMILIES.values())) > 1
    assert {*QUICK, "cifar100", "imagenet_r50", "imagenet_rx50_ride", "inat18_r50"} <= set(FAMILIES)
