"""CBN placed in mmdet's backbones, and the run that would keep its statistics fixed."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import nn

from mmdet_ltnorm.engine.checks import check_cbn_layers
from mmdet_ltnorm.norms import CBN
from mmdet_ltnorm.surgery import replace_norms

R18 = dict(type="ResNet", depth=18, base_channels=8)


def placed(**host):
    cfg = dict(type="LTNormBackbone", backbone=dict(R18, **host), norm_cfg=dict(type="CBN"))
    return MODELS.build(cfg)


def test_norm_eval_with_cbn_is_an_error_that_names_the_layers():
    check_cbn_layers(placed(norm_eval=False))
    with pytest.raises(ValueError, match=r"3 CBN layers .*layer4.0.bn2.*norm_eval=False"):
        check_cbn_layers(placed(norm_eval=True))


def test_placed_layers_train_and_update_their_components():
    model = placed(norm_eval=False)
    model.train()
    layer = model.layer4[1].bn2
    before = layer.running_mean.clone()
    sum(out.sin().mean() for out in model(torch.randn(2, 3, 64, 64))).backward()
    assert isinstance(layer, CBN) and layer.weight.grad.abs().max() > 0
    assert not torch.equal(layer.running_mean, before)


@pytest.mark.parametrize("components, depth", [(1, 20), (2, 44), (8, 110)])
def test_the_papers_ablations_are_options_of_its_config(components, depth):
    cfg = Config.fromfile("configs/cifar_lt/cifar100_cbn_dpl.py")
    cfg.merge_from_dict(
        {
            "model.backbone.norm_cfg.num_components": components,
            "model.backbone.backbone.depth": depth,
        }
    )
    layers = [each for each in MODELS.build(cfg.model).modules() if isinstance(each, CBN)]
    assert len(layers) == (depth - 2) // 6  # the last norms of the last stage's blocks
    assert {layer.num_components for layer in layers} == {components}


def test_swapping_trained_batch_norms_keeps_the_networks_function_in_evaluation():
    plain = MODELS.build(R18)
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.2)
    plain.eval()
    x = torch.randn(2, 3, 64, 64)
    expected = plain(x)[-1]
    replace_norms(plain, dict(type="CBN"))
    torch.testing.assert_close(plain(x)[-1], expected, rtol=1e-4, atol=1e-4)
