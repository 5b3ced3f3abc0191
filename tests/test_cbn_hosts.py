"""CBN in its hosts' hands: built, recomputed, in lower precision, converted and exported."""

import copy

import numpy as np
import pytest
import torch
from cbn_layers import statistics, trained, two_clouds
from mmcv.cnn import build_norm_layer, fuse_conv_bn
from mmengine.model import constant_init, revert_sync_batchnorm
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.checkpoint import checkpoint

from mmdet_ltnorm.norms import CBN, split_by


def test_builds_from_mmcv_with_its_conventions():
    name, layer = build_norm_layer(
        dict(type="CBN", num_components=2, requires_grad=False, momentum=0.02), 6, postfix=3
    )
    assert name == "bn3" and layer.momentum == 0.02 and layer.weight.shape == (2, 6)
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    constant_init(layer, 0)
    assert not layer.weight.any()


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradient_checkpointing_repeats_the_same_passes_and_moves_nothing(use_reentrant):
    """Two passes before the backward pass, one split: each is repeated as it was."""
    plain = trained()
    checkpointed = copy.deepcopy(plain)
    x = [two_clouds().requires_grad_() for _ in range(2)]
    labels = torch.tensor([0, 1, 2, 2])
    results = []
    for layer, wrap in ((plain, None), (checkpointed, checkpoint)):

        def run(x, layer=layer, wrap=wrap):
            return wrap(layer, x, use_reentrant=use_reentrant) if wrap else layer(x)

        with torch.no_grad():
            layer(x[0])  # a pass without backward
        y = run(x[0])
        with split_by(labels, 4, num_classes=4):
            z = run(x[0].sin()) + run(x[1])
        inputs = [*x, *layer.parameters()]
        results.append([y, z, *gradients_by_backward((y * z).sin().sum(), inputs)])
        results[-1] += statistics(layer)
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def gradients_by_backward(loss, inputs):
    for tensor in inputs:
        tensor.grad = None
    loss.backward()
    return [tensor.grad.clone() for tensor in inputs]


def test_gradient_checkpointing_of_a_forgotten_pass_is_refused():
    layer, x = trained(), two_clouds().requires_grad_()
    y = checkpoint(layer, x, use_reentrant=False)
    for _ in range(8):
        layer(two_clouds())
    with pytest.raises(RuntimeError, match="among the last 8.*or switch with_cp off"):
        y.sum().backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_computes_in_float32_under_autocast_and_gives_the_dtype_back(dtype):
    layer = trained()
    x = two_clouds().to(dtype)
    twin = copy.deepcopy(layer)
    exact_x, half_x = x.float().requires_grad_(), x.clone().requires_grad_()
    exact = twin(exact_x)
    exact.sum().backward()
    with torch.autocast("cpu", dtype):
        half = layer(half_x)
        half.sum().backward()
    assert half.dtype == half_x.grad.dtype == dtype and layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(half.float(), exact, atol=0.05, rtol=0.02)
    torch.testing.assert_close(half_x.grad.float(), exact_x.grad, atol=0.05, rtol=0.02)
    torch.testing.assert_close(layer.running_var, twin.running_var)
    torch.testing.assert_close(layer.weight.grad, twin.weight.grad, atol=1e-3, rtol=1e-3)


def test_a_layer_in_half_precision_works_throughout():
    layer = CBN(6).bfloat16()
    for _ in range(3):
        y = layer(two_clouds().bfloat16())
    y.sum().backward()
    assert y.dtype == layer.weight.grad.dtype == layer.running_mean.dtype == torch.bfloat16
    assert layer.diagnostics()["dead"] == 0


def test_memory_stays_near_batch_norms():
    x, upstream = torch.randn(2, 8, 64, 48, 48)
    x.requires_grad_()

    def peak(layer):
        def step():
            x.grad = None
            layer(x).backward(upstream)

        step()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            step()
        events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
        sizes = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
        return max(np.cumsum(sizes))

    assert peak(CBN(64, num_components=8)) < 1.4 * peak(nn.BatchNorm2d(64))


def test_conversion_to_sync_batchnorm_fails_at_the_first_batch():
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(trained()))
    with pytest.raises(RuntimeError, match="should contain 6 elements not 24"):
        converted(two_clouds())
    assert type(revert_sync_batchnorm(nn.Sequential(trained()))[0]) is CBN


@pytest.mark.parametrize("components", [1, 4])
def test_fusion_with_a_convolution_fails(components):
    model = nn.Sequential(nn.Conv2d(3, 6, 3), CBN(6, num_components=components)).eval()
    with pytest.raises(RuntimeError, match="invalid for input|expected bias to be 1-dim"):
        fuse_conv_bn(model)(torch.randn(1, 3, 5, 5))


def test_onnx_export_agrees_with_onnxruntime(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    layer, x, path = trained().eval(), two_clouds(), str(tmp_path / "layer.onnx")
    torch.onnx.export(layer, (x,), path, dynamo=False, input_names=["x"])
    (output,) = onnxruntime.InferenceSession(path).run(None, {"x": x.numpy()})
    np.testing.assert_allclose(output, layer(x).detach().numpy(), rtol=1e-4, atol=1e-4)
