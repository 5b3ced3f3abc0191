"""Places where torch, mmcv, mmengine or mmdet could silently drop or mis-use NBN layers."""

import copy

import numpy as np
import pytest
import torch
from mmcv.cnn import fuse_conv_bn
from mmdet.registry import MODELS
from mmengine.model import ExponentialMovingAverage, convert_sync_batchnorm, revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmdet_ltnorm.norms import NBN

CFG = dict(
    type="LTNormBackbone",
    backbone=dict(type="ResNet", depth=18, base_channels=8),
    norm_cfg=dict(type="NBN"),
)


def build(positions="residual", trained=True, **host):
    """Return a backbone whose NBN layers have raw vectors and magnitudes far from their start."""
    cfg = dict(CFG, positions=positions, backbone=dict(CFG["backbone"], **host))
    model = MODELS.build(cfg)
    if trained:
        for module in model.modules():
            if isinstance(module, NBN):
                nn.init.uniform_(module._parameters["weight"], 0.5, 2)
        with torch.no_grad():
            nbn_layers(model)[0].magnitude.mul_(1.7)
            for _ in range(20):
                model(images())
    return model


def nbn_layers(model):
    return [module for module in model.modules() if isinstance(module, NBN)]


def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def test_reverting_sync_batchnorm_keeps_the_layers():
    model = build("all")
    assert len(nbn_layers(revert_sync_batchnorm(model))) == 20


@pytest.mark.parametrize(
    "convert", [convert_sync_batchnorm, nn.SyncBatchNorm.convert_sync_batchnorm]
)
def test_conversion_to_sync_batchnorm_fails_instead_of_dropping_the_layers(convert):
    with pytest.raises(TypeError, match="cannot assign"):
        convert(build())


def test_conv_bn_fusion_of_mmcv_folds_the_effective_vectors():
    model = build("all").double()
    model.eval()
    fused = fuse_conv_bn(copy.deepcopy(model))
    assert not nbn_layers(fused)
    for ours, theirs in zip(fused(images().double()), model(images().double()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_conv_bn_fusion_of_torch_folds_the_effective_vectors():
    conv, norm = nn.Conv2d(3, 4, 3).eval(), NBN(4).eval()
    nn.init.uniform_(norm._parameters["weight"], 0.5, 2)
    fused = torch.nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(fused(x), norm(conv(x)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "paramwise", [None, dict(norm_decay_mult=0), dict(custom_keys={"bn1": dict(lr_mult=0.1)})]
)
def test_optimizer_sees_the_shared_magnitude_once(paramwise):
    model = build("all", trained=False)
    optimizer = dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4)
    wrapper = build_optim_wrapper(model, dict(optimizer=optimizer, paramwise_cfg=paramwise))
    magnitude = model.bn1.magnitude
    groups = [g for g in wrapper.optimizer.param_groups if any(p is magnitude for p in g["params"])]
    assert len(groups) == 1 and sum(p is magnitude for p in groups[0]["params"]) == 1
    if paramwise == dict(norm_decay_mult=0):
        assert groups[0]["weight_decay"] == 0
    twin = copy.deepcopy(model)
    sum(out.square().mean() for out in twin(images())).backward()
    wrapper.update_params(sum(out.square().mean() for out in model(images())))
    gradient = twin.bn1.magnitude.grad + groups[0]["weight_decay"] * twin.bn1.magnitude
    torch.testing.assert_close(magnitude, twin.bn1.magnitude - 0.1 * gradient)


@pytest.mark.parametrize("frozen_stages", [1, 2, 3])
def test_freezing_early_stages_never_freezes_the_magnitude(frozen_stages):
    model = build("all", frozen_stages=frozen_stages)
    model.train()
    assert model.bn1.magnitude.requires_grad
    sum(out.square().mean() for out in model(images())).backward()
    assert model.bn1.magnitude.grad is not None
    assert not model.bn1._parameters["weight"].requires_grad


def test_norm_eval_fixes_the_statistics_and_trains_the_affine_part():
    model = build(norm_eval=True)
    model.train()
    layer = model.layer4[1].bn2
    before = layer.running_mean.clone()
    sum(out.sin().mean() for out in model(images())).backward()
    assert not layer.training and torch.equal(layer.running_mean, before)
    for parameter in layer.parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0


def test_zero_init_residual_does_not_zero_the_raw_weight():
    model = build(trained=False, zero_init_residual=True)
    model.init_weights()
    for layer in nbn_layers(model):
        assert layer._parameters["weight"].eq(1).all() and layer._parameters["bias"].abs().max() > 0
        torch.testing.assert_close(layer.weight, torch.ones_like(layer.weight))


def test_moving_average_of_the_model_is_a_working_model():
    model = build()
    average = ExponentialMovingAverage(model, momentum=0.5, update_buffers=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    average.update_parameters(model)
    average.update_parameters(model)
    layer, averaged = model.layer4[1].bn2, average.module.layer4[1].bn2
    assert averaged.magnitude is not layer.magnitude
    assert average.module.layer4[0].bn2.magnitude is averaged.magnitude
    assert len([name for name, _ in average.named_parameters() if "magnitude" in name]) == 1
    model.load_state_dict(average.module.state_dict())
    model.eval(), average.module.eval()
    assert torch.equal(model(images())[-1], average.module(images())[-1])


def test_gradient_checkpointing_gives_equal_outputs_and_gradients():
    plain = build(depth=50)
    checkpointed = build(depth=50, with_cp=True)
    checkpointed.load_state_dict(plain.state_dict())
    results = []
    for model in (plain, checkpointed):
        x = images().requires_grad_()
        sum(out.sin().mean() for out in model(x)).backward()
        results.append([model.layer4[2].bn3.magnitude.grad, x.grad])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_onnx_export_agrees_with_onnxruntime(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model = build("all")
    model.eval()
    path = str(tmp_path / "backbone.onnx")
    torch.onnx.export(model, (images(),), path, dynamo=False, input_names=["image"])
    outputs = onnxruntime.InferenceSession(path).run(None, {"image": images().numpy()})
    for ours, theirs in zip(outputs, model(images()), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-4, atol=1e-4)
