"""What the NBN paper compares with, at NBN's positions: LN, IN, feature and weight norm."""

import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.runner.checkpoint import load_state_dict
from torch import nn
from torch.nn import functional as F

from mmdet_ltnorm.norms import NGN, BNThen, FeatureNorm
from mmdet_ltnorm.surgery import norm_positions, plain_config, replace_norms

R18 = dict(type="ResNet", depth=18, base_channels=8)
R50 = dict(type="ResNet", depth=50, base_channels=8)
LN = dict(type="GN", num_groups=1)
IN = dict(type="IN", affine=True)
COMPARED = {
    "LN": LN,
    "IN": IN,
    "IN without weights": dict(type="IN"),
    "BN and LN": dict(type="BNThen", then=LN),
    "BN and IN": dict(type="BNThen", then=IN),
    "feature norm C": dict(type="BNThen", then=dict(type="FeatureNorm", dims=[1])),
    "feature norm CHW": dict(type="BNThen", then=dict(type="FeatureNorm", dims=[1, 2, 3])),
    "NGN": dict(type="NGN", num_groups=2),
}


def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def trained(cfg=R18):
    model = MODELS.build(cfg)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    model.eval()  # mmdet's ResNet.train returns None
    return model


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (LN, lambda y: F.layer_norm(y, y.shape[1:])),
        (IN, F.instance_norm),
        (
            dict(type="FeatureNorm", dims=[1], eps=0),
            lambda y: F.normalize(y, dim=1) * y.shape[1] ** 0.5,
        ),
        (
            dict(type="FeatureNorm", dims=[1, 2, 3], eps=0),
            lambda y: F.normalize(y.flatten(1)).view_as(y) * y[0].numel() ** 0.5,
        ),
    ],
    ids=["LN", "IN", "[C]", "[C, H, W]"],
)
def test_a_second_norm_takes_the_output_of_batch_norm(then, expected):
    layer = BNThen(6, then=then).double()
    norm = nn.BatchNorm2d(6).double()
    nn.init.uniform_(layer.weight, 0.5, 2), nn.init.normal_(layer.bias)
    norm.weight.data, norm.bias.data = layer.weight.data, layer.bias.data
    x = torch.randn(3, 6, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(layer(x), expected(norm(x)))
    torch.testing.assert_close(layer.eval()(x), expected(norm.eval()(x)))


def test_feature_norm_has_the_right_gradient_and_keeps_half_precision():
    layer = FeatureNorm(4, dims=[1, 2, 3])
    x = torch.randn(2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)
    large = torch.full((1, 4, 2, 2), 300.0, dtype=torch.float16)  # its square is not finite
    assert torch.equal(layer(large), torch.ones_like(large))
    assert layer(torch.zeros(1, 4, 2, 2)).abs().max() == 0 and "dims=(1, 2, 3)" in repr(layer)


def test_keys_are_batch_norms_and_the_second_norms():
    assert BNThen(6, then=LN).state_dict().keys() == {
        *nn.BatchNorm2d(6).state_dict(),
        "then.weight",
        "then.bias",
    }


@pytest.mark.parametrize("norm_cfg", COMPARED.values(), ids=COMPARED)
def test_any_norm_goes_to_nbns_positions_and_trains(norm_cfg):
    cfg = dict(type="LTNormBackbone", backbone=R18, norm_cfg=norm_cfg)
    model = MODELS.build(cfg)
    sum(out.sin().mean() for out in model(images())).backward()
    names = norm_positions(MODELS.build(R18))
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    kinds = {type(model.get_submodule(name)) for name in names}
    assert len(kinds) == 1 and kinds != {nn.BatchNorm2d}


@pytest.mark.parametrize("norm_cfg", COMPARED.values(), ids=COMPARED)
def test_a_trained_networks_weights_are_kept_as_far_as_the_new_norm_has_them(norm_cfg):
    old = trained().double()
    old.layer4[1].bn2.eps = 1e-3
    model = copy.deepcopy(old)
    names = replace_norms(model, norm_cfg)
    for name in names:
        new, host = model.get_submodule(name), old.get_submodule(name)
        for vector in "weight", "bias":
            if getattr(new, vector) is not None:
                torch.testing.assert_close(getattr(new, vector), getattr(host, vector))
        if isinstance(new, BNThen):
            assert torch.equal(new.running_var, host.running_var)
        assert new.eps == host.eps and not new.training
        assert all(tensor.dtype == torch.float64 for tensor in new.parameters())


def test_a_given_eps_is_taken():
    model = MODELS.build(R18)
    replace_norms(model, dict(LN, eps=1e-3))
    assert model.layer4[1].bn2.eps == 1e-3


def test_what_the_host_has_frozen_stays_frozen():
    model = trained().requires_grad_(False)
    replace_norms(model, dict(type="BNThen", then=LN))
    assert not any(parameter.requires_grad for parameter in model.parameters())
    model = trained()
    model.layer4[0].bn2.weight.requires_grad_(False)
    replace_norms(model, dict(type="BNThen", then=LN))
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen == ["layer4.0.bn2.weight"]


def test_magnitudes_of_group_norms_are_shared_as_nbns():
    model = MODELS.build(R50)
    names = replace_norms(model, dict(type="NGN", num_groups=2))
    layers = [model.get_submodule(name) for name in names]
    assert len(layers) == 4 and all(isinstance(layer, NGN) for layer in layers)
    assert len({id(layer.magnitude) for layer in layers}) == 1


@pytest.mark.parametrize("kind", ["LN", "NLN"])
def test_layer_norm_of_the_last_dimension_is_refused(kind):
    with pytest.raises(
        ValueError, match=rf"{kind} normalizes the last dimension.*layer4.0.bn2 use dict\(type='GN'"
    ):
        replace_norms(MODELS.build(R18), dict(type=kind))


def test_group_norm_without_groups_is_refused():
    with pytest.raises(ValueError, match="type GN needs num_groups; 1 is layer norm"):
        replace_norms(MODELS.build(R18), dict(type="GN"))


def test_what_does_not_fold_has_no_plain_config():
    cfg = dict(type="LTNormBackbone", backbone=R18, norm_cfg=LN)
    with pytest.raises(ValueError, match="GN does not fold into batch norm, NBN does"):
        plain_config(dict(backbone=cfg))
    with pytest.raises(ValueError, match="weight norm does not fold into plain convolutions"):
        plain_config(dict(backbone=dict(type="WeightNormBackbone", backbone=R18)))


# Weight normalization (Table X)


def convolutions(model):
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and hasattr(module, "parametrizations")
    ]


HOSTS = {
    "R50": (R50, ["0.conv3", "0.downsample.0", "1.conv3", "2.conv3"], "layer4"),
    "R50 average down": (
        dict(R50, avg_down=True),
        ["0.conv3", "0.downsample.1", "1.conv3", "2.conv3"],
        "layer4",
    ),
    "CIFAR": (dict(type="ResNetCIFAR", depth=14), ["0.conv2", "1.conv2"], "layer3"),
}


@pytest.mark.parametrize("host", HOSTS)
def test_weight_norm_sits_on_the_convolutions_that_feed_nbns_positions(host):
    cfg, blocks, stage = HOSTS[host]
    model = MODELS.build(dict(type="WeightNormBackbone", backbone=cfg))
    assert sorted(convolutions(model)) == [f"{stage}.{block}" for block in blocks]
    assert sorted(norm_positions(model)) == sorted(norm_positions(MODELS.build(cfg)))


@pytest.mark.parametrize("load", [nn.Module.load_state_dict, load_state_dict])
def test_a_plain_checkpoint_keeps_its_function_and_its_lengths_become_parameters(load):
    plain = trained(R50)
    model = MODELS.build(dict(type="WeightNormBackbone", backbone=R50))
    load(model, plain.state_dict(), strict=True)
    for each in model, copy.deepcopy(model):
        each.eval()
        for ours, theirs in zip(each(images()), plain(images()), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    conv = model.layer4[2].conv3
    length = conv.parametrizations.weight.original0.flatten()
    torch.testing.assert_close(length, plain.layer4[2].conv3.weight.flatten(1).norm(dim=1))
    again = MODELS.build(dict(type="WeightNormBackbone", backbone=R50))
    again.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(again.layer4[2].conv3.weight, conv.weight)


def test_a_norm_without_a_convolution_before_it_is_refused():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer1 = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(3))

    MODELS.register_module("OddBackbone", module=Odd, force=True)
    cfg = dict(type="WeightNormBackbone", backbone=dict(type="OddBackbone"), positions="all")
    with pytest.raises(ValueError, match=r"3 output channels before layer1.1, got layer1.0"):
        MODELS.build(cfg)
