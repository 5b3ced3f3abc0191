"""Where norms are placed in mmdet's backbones, how they share g, and how they fold back."""

import copy

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from mmdet_ltnorm.norms import NBN
from mmdet_ltnorm.predictors import RectifiedLinear
from mmdet_ltnorm.surgery import fold_norms, norm_positions, replace_norms

SMALL = dict(base_channels=8)
R18 = dict(type="ResNet", depth=18, **SMALL)
BLOCKS3 = ["layer4.0.bn3", "layer4.1.bn3", "layer4.2.bn3"]
BOTTLENECK = [BLOCKS3[0], "layer4.0.downsample.1", *BLOCKS3[1:]]
RESIDUAL = {
    "R18": (R18, ["layer4.0.bn2", "layer4.0.downsample.1", "layer4.1.bn2"]),
    "R50": (dict(type="ResNet", depth=50, **SMALL), BOTTLENECK),
    "R101 caffe": (dict(type="ResNet", depth=101, style="caffe", **SMALL), BOTTLENECK),
    "R50 deep stem": (
        dict(type="ResNet", depth=50, deep_stem=True, stem_channels=8, **SMALL),
        BOTTLENECK,
    ),
    "R50 average down": (
        dict(type="ResNet", depth=50, avg_down=True, **SMALL),
        [BLOCKS3[0], "layer4.0.downsample.2", *BLOCKS3[1:]],
    ),
    "ResNeXt": (dict(type="ResNeXt", depth=50, groups=4, base_width=4, **SMALL), BOTTLENECK),
    "Res2Net": (
        dict(type="Res2Net", depth=50, scales=4, base_width=4, **SMALL),
        [BLOCKS3[0], "layer4.0.downsample.2", *BLOCKS3[1:]],
    ),
    "RegNet": (
        dict(type="RegNet", arch="regnetx_400mf", out_indices=(3,)),
        ["layer4.0.bn3", "layer4.0.downsample.1", *[f"layer4.{i}.bn3" for i in range(1, 12)]],
    ),
    "R50 of three stages": (
        dict(
            type="ResNet",
            depth=50,
            num_stages=3,
            strides=(1, 2, 2),
            dilations=(1, 1, 1),
            out_indices=(2,),
        ),
        ["layer3.0.bn3", "layer3.0.downsample.1", *[f"layer3.{i}.bn3" for i in range(1, 6)]],
    ),
}


def wrapped(host, **options):
    cfg = dict(type="LTNormBackbone", backbone=host, norm_cfg=dict(type="NBN"), **options)
    return MODELS.build(cfg)


def nbn_names(model):
    return [name for name, module in model.named_modules() if isinstance(module, NBN)]


def trained(cfg):
    """Return a backbone whose norms have weights, biases and statistics as after training."""
    model = MODELS.build(cfg)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    model.eval()  # mmdet's ResNet.train returns None
    return model


@pytest.mark.parametrize("host", RESIDUAL)
def test_residual_positions_are_the_papers_in_every_host(host):
    cfg, expected = RESIDUAL[host]
    model = wrapped(cfg)
    assert sorted(nbn_names(model)) == sorted(expected)
    assert type(model).__name__ == cfg["type"]
    magnitudes = [name for name, _ in model.named_parameters() if name.endswith("magnitude")]
    assert len(magnitudes) == 1
    plain_keys = set(MODELS.build(cfg).state_dict())
    added = set(model.state_dict()) - plain_keys
    assert plain_keys <= set(model.state_dict())
    assert {key.rpartition(".")[2] for key in added} == {"magnitude", "weight_gain", "bias_gain"}


def test_positions_of_table_vi_partition_the_last_stage():
    model = MODELS.build(RESIDUAL["R50"][0])
    last_stage = norm_positions(model, "last_stage")
    assert len(last_stage) == 10 and len(norm_positions(model, "all")) == 53
    residual, complement = norm_positions(model, "residual"), norm_positions(model, "complement")
    assert sorted(residual + complement) == sorted(last_stage)
    assert all(name.endswith(("bn1", "bn2")) for name in complement)


def test_patterns_select_by_module_name():
    model = MODELS.build(R18)
    assert norm_positions(model, ["layer4.*.bn2", "bn1"]) == ["bn1", "layer4.0.bn2", "layer4.1.bn2"]


def test_positions_that_cannot_be_told_list_the_norms_that_exist():
    model = MODELS.build(R18)
    with pytest.raises(
        ValueError, match=r"'layer9.*' matches no norm layer; norm layers: bn1, layer1.0"
    ):
        norm_positions(model, ["bn1", "layer9.*"])
    with pytest.raises(ValueError, match="list of patterns is empty"):
        norm_positions(model, [])
    with pytest.raises(ValueError, match=r"positions must be one of .*got 'tail'"):
        norm_positions(model, "tail")
    with pytest.raises(ValueError, match=r"cannot tell the stages of Sequential.*norm layers: 1"):
        norm_positions(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    with pytest.raises(ValueError, match="has no batch norm layer"):
        norm_positions(nn.Conv2d(3, 4, 1), "all")
    odd = nn.Module()
    odd.layer1 = nn.Sequential(nn.Sequential(nn.BatchNorm2d(4)))
    with pytest.raises(ValueError, match=r"last norm of layer1.0, a Sequential.*layer1.0.0"):
        norm_positions(odd)
    with pytest.raises(ValueError, match="cannot tell the stages of CSPDarknet"):
        wrapped(dict(type="CSPDarknet", widen_factor=0.125, deepen_factor=0.33))


@pytest.mark.parametrize(("share", "owners"), [("all", 1), ("block", 3), ("none", 4)])
def test_share_groups_magnitudes_as_table_vii(share, owners):
    model = wrapped(RESIDUAL["R50"][0], share=share)
    names = [name for name, _ in model.named_parameters() if name.endswith("magnitude")]
    assert len(names) == owners
    block = model.layer4[0]
    assert (block.bn3.magnitude is block.downsample[1].magnitude) == (share != "none")
    assert (block.bn3.magnitude is model.layer4[1].bn3.magnitude) == (share == "all")
    with pytest.raises(ValueError, match=r"share must be one of .*got 'stage'"):
        wrapped(R18, share="stage")


@pytest.mark.parametrize("positions", ["residual", "last_stage", "complement", "all"])
@pytest.mark.parametrize("share", ["all", "block", "none"])
def test_swapping_trained_norms_keeps_the_networks_function(positions, share):
    plain = trained(R18)
    model = copy.deepcopy(plain)
    replace_norms(model, dict(type="NBN"), positions, share)
    x = torch.randn(2, 3, 64, 64)
    for ours, theirs in zip(model(x), plain(x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("host", RESIDUAL)
def test_plain_checkpoint_of_the_host_loads_and_keeps_the_networks_function(host):
    cfg = RESIDUAL[host][0]
    plain, model = trained(cfg), wrapped(cfg)
    model.eval()
    model.load_state_dict(plain.state_dict(), strict=True)
    x = torch.randn(1, 3, 64, 64)
    for ours, theirs in zip(model(x), plain(x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    norms = [model.get_submodule(name)._parameters["weight"].norm() for name in nbn_names(model)]
    torch.testing.assert_close(
        model.get_submodule(nbn_names(model)[0]).magnitude, torch.stack(norms).mean()
    )


def test_pretrained_init_cfg_flows_through_to_the_host(tmp_path):
    plain = trained(R18)
    torch.save(plain.state_dict(), tmp_path / "r18.pth")
    init_cfg = dict(type="Pretrained", checkpoint=str(tmp_path / "r18.pth"))
    model = wrapped(dict(R18, init_cfg=init_cfg))
    model.init_weights()
    model.eval()
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(model(x)[-1], plain(x)[-1], rtol=1e-5, atol=1e-5)


def test_swapping_keeps_eps_momentum_dtype_mode_and_requires_grad():
    model = trained(R18).double()
    norm = model.layer4[1].bn2
    norm.eps, norm.momentum = 1e-3, 0.02
    norm.weight.requires_grad_(False)
    before = norm.running_mean.clone()
    replace_norms(model, dict(type="NBN"))
    layer = model.layer4[1].bn2
    assert (layer.eps, layer.momentum, layer.training) == (1e-3, 0.02, False)
    assert torch.equal(layer.running_mean, before) and layer.running_mean.dtype == torch.float64
    assert not layer._parameters["weight"].requires_grad and layer._parameters["bias"].requires_grad
    assert layer.magnitude.requires_grad
    replace_norms(model, dict(type="NBN", eps=1e-4), ["layer1.0.bn1"])
    assert model.layer1[0].bn1.eps == 1e-4


def test_magnitude_of_layers_that_are_all_frozen_is_frozen():
    model = MODELS.build(R18).requires_grad_(False)
    replace_norms(model, dict(type="NBN"))
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_synchronized_host_norm_is_refused():
    model = MODELS.build(dict(R18, norm_cfg=dict(type="SyncBN")))
    with pytest.raises(ValueError, match=r"layer4.0.bn2 is a SyncBatchNorm.*dict\(type='BN'\)"):
        replace_norms(model, dict(type="NBN"))


def test_norm_module_used_twice_is_replaced_in_both_places():
    norm = nn.BatchNorm2d(4)
    model = nn.Sequential(norm, nn.ReLU(), norm)
    replace_norms(model, dict(type="NBN"), "all")
    assert isinstance(model[0], NBN) and model[0] is model[2]


def test_builder_logs_the_replaced_layers_once(caplog):
    from mmengine.logging import MMLogger

    logger = MMLogger.get_instance("surgery")
    logger.addHandler(caplog.handler)
    wrapped(R18)
    logger.removeHandler(caplog.handler)
    lines = [line for line in caplog.messages if line.startswith("LTNormBackbone:")]
    assert lines == [
        "LTNormBackbone: NBN replaces 3 norms of ResNet: "
        "layer4.0.bn2, layer4.0.downsample.1, layer4.1.bn2"
    ]


@pytest.mark.parametrize("host", ["R18", "R50", "Res2Net"])
def test_folded_network_loads_into_the_plain_host_with_equal_outputs(host):
    cfg = RESIDUAL[host][0]
    model = wrapped(cfg, positions="all")
    for _ in range(2):
        model(torch.randn(2, 3, 64, 64))
    model.eval()
    folded = fold_norms(model)
    assert nbn_names(model) and not nbn_names(folded)
    plain = MODELS.build(cfg)
    plain.eval()
    plain.load_state_dict(folded.state_dict(), strict=True)
    x = torch.randn(2, 3, 64, 64)
    for ours, theirs in zip(model(x), plain(x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_fold_takes_single_layers_and_rectified_classifiers():
    assert type(fold_norms(NBN(4))) is nn.BatchNorm2d
    assert type(fold_norms(nn.Sequential(RectifiedLinear(3, 4)))[0]) is nn.Linear


def test_without_a_norm_the_builder_returns_the_hosts_own_network_and_draws_nothing():
    networks, following = [], []
    for cfg in R18, dict(type="LTNormBackbone", backbone=R18):
        torch.manual_seed(0)
        networks.append(MODELS.build(cfg))
        networks[-1].init_weights()
        following.append(torch.rand(1))
    host, ours = networks
    assert type(ours) is type(host) and str(ours) == str(host)
    assert ours.state_dict().keys() == host.state_dict().keys()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, host.state_dict()[name]), name
    assert torch.equal(*following)


@pytest.mark.parametrize("option", [dict(positions="all"), dict(share="none")])
def test_a_place_for_a_norm_that_is_not_given_is_refused(option):
    with pytest.raises(ValueError, match="but no norm_cfg, so they would change nothing: give"):
        MODELS.build(dict(type="LTNormBackbone", backbone=R18, **option))
