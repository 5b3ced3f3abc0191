"""What the LVIS configs build: outputs, places of NBN, what trains, and pretrained weights."""

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from tiny_mask_rcnn import CONFIGS
from torch import nn

from mmdet_ltnorm.engine.checks import magnitudes
from mmdet_ltnorm.norms import NBN


def leaf(name):
    return Config.fromfile(CONFIGS / f"{name}.py")


def build(name):
    cfg = leaf(name).model
    backbone = cfg.backbone.backbone
    backbone.init_cfg = None
    return MODELS.build(cfg)


@pytest.fixture(scope="module")
def models():
    return {name: build(name) for name in ("seesaw_2x", "seesaw_nbn_2x")}


OUTPUTS = {"ce_2x": 1204, "eql_2x": 1203, "eqlv2_2x": 1204, "seesaw_2x": 1205}


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_head_has_the_outputs_of_its_loss(name):
    head = MODELS.build(leaf(name).model.roi_head.bbox_head)
    assert head.fc_cls.out_features == OUTPUTS[name]
    assert type(head.fc_cls).__name__ == "NormedLinear"


def test_nbn_sits_where_the_paper_puts_it_and_nothing_else_differs(models):
    ours, theirs = models["seesaw_nbn_2x"], models["seesaw_2x"]
    placed = [name for name, module in ours.named_modules() if isinstance(module, NBN)]
    assert placed == [
        "backbone.layer4.0.bn3",
        "backbone.layer4.0.downsample.1",
        "backbone.layer4.1.bn3",
        "backbone.layer4.2.bn3",
    ]
    extra = ours.state_dict().keys() - theirs.state_dict().keys()
    assert theirs.state_dict().keys() <= ours.state_dict().keys()
    assert {key.rsplit(".", 1)[1] for key in extra} == {"magnitude", "weight_gain", "bias_gain"}


def test_what_is_frozen_and_what_trains(models):
    model = models["seesaw_nbn_2x"].train()
    norms = {n: m for n, m in model.backbone.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert len(norms) == 53
    assert not any(norm.training for norm in norms.values()), "norm_eval fixes all statistics"
    frozen = {n.split(".")[0] for n, p in model.backbone.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "bn1", "layer1"}
    optimized = {
        id(p)
        for group in build_optim_wrapper(
            model, leaf("seesaw_nbn_2x").optim_wrapper
        ).optimizer.param_groups
        for p in group["params"]
        if p.requires_grad and group["weight_decay"] == 1e-4
    }
    for name, parameter in model.backbone.layer4.named_parameters():
        assert id(parameter) in optimized, name
    [(name, magnitude)] = magnitudes(model)
    assert name == "backbone.layer4.2.bn3.magnitude" and id(magnitude) in optimized


def test_pretrained_weights_reach_the_backbone_and_keep_its_function(tmp_path):
    plain = build("seesaw_2x").backbone
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.1, 0.5)
            nn.init.normal_(module.bias, std=0.1)
    torch.save(plain.state_dict(), tmp_path / "resnet50.pth")
    cfg = leaf("seesaw_nbn_2x").model.backbone
    cfg.backbone.init_cfg.checkpoint = str(tmp_path / "resnet50.pth")
    ours = MODELS.build(cfg)
    ours.init_weights()
    ours.eval()
    plain.eval()
    image = torch.randn(1, 3, 64, 64)
    for one, other in zip(ours(image), plain(image), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_repeat_factor_sampling_repeats_images_of_rare_categories(mini_lvis):
    cfg = leaf("seesaw_rfs_2x").train_dataloader.dataset
    cfg.dataset.data_root = f"{mini_lvis}/"
    cfg.oversample_thr = 0.5  # the miniature's rare classes are not as rare
    with DATASETS.switch_scope_and_registry("mmdet") as registry:
        dataset = registry.build(cfg)
    assert len(dataset) > len(dataset.dataset)
