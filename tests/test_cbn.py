"""What a CBN layer does beyond its formula: its start, checkpoints, hosts, edges and reports."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from mmcv.cnn import build_norm_layer, fuse_conv_bn
from mmengine.model import ExponentialMovingAverage, constant_init, revert_sync_batchnorm
from mmengine.runner.checkpoint import load_state_dict
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.checkpoint import checkpoint

from mmdet_ltnorm.norms import CBN, cbn, split_by

BUFFERS = ("running_mean", "running_var", "prior")


def trained(channels=6, batches=20, **options):
    """A layer whose components have learned two clouds of pixels."""
    layer = CBN(channels, **options)
    nn.init.uniform_(layer.weight, 0.5, 2), nn.init.normal_(layer.bias)
    for _ in range(batches):
        layer(two_clouds(channels))
    return layer


def two_clouds(channels=6, samples=4):
    x = torch.randn(samples, channels, 6, 6)
    x[:, :, :3] = 0.3 * x[:, :, :3] + 3
    return x


def trained_batch_norm(channels=6):
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.weight, 0.2, 2), nn.init.normal_(norm.bias)
    for _ in range(5):
        norm(3 * torch.randn(4, channels, 5, 5) + 7)
    return norm


def statistics(layer):
    return [getattr(layer, name).clone() for name in (*BUFFERS, "num_batches_tracked")]


def test_components_of_a_fresh_layer_start_near_the_first_batch_and_apart():
    x = 5 * torch.randn(8, 16, 6, 6) + 30
    layer = CBN(16, momentum=0.0)  # the first batch places the components and does not move them
    layer(x)
    offsets = (layer.running_mean - x.mean((0, 2, 3))) / x.std((0, 2, 3))
    torch.testing.assert_close(offsets.mean(0), torch.zeros(16), rtol=0, atol=1e-5)
    assert 0.05 < offsets.std() < 0.15
    variances = x.var((0, 2, 3), correction=0).expand(4, -1)
    torch.testing.assert_close(layer.running_var, variances, rtol=1e-4, atol=0)
    second = layer.running_mean.clone()
    layer(x + 1)
    assert torch.equal(layer.running_mean, second)


def test_a_layer_draws_no_random_numbers_and_starts_alike_everywhere():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = CBN(8), CBN(8)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.running_mean, second.running_mean)
    assert first.running_mean[0].ne(first.running_mean[1]).all()


def test_components_of_a_trained_layer_tell_clouds_of_pixels_apart():
    layer = trained(num_components=2, batches=40)
    report = layer.diagnostics()
    assert report["mutual_information"] > 0.9 and report["entropy"] < 0.05
    torch.testing.assert_close(report["prior"], torch.tensor([0.5, 0.5]), rtol=0, atol=0.02)
    assert report["distance"] > 1 and report["dead"] == 0


def test_diagnostics_take_the_responsibilities_of_any_input():
    layer = trained(num_components=3)
    x = two_clouds().to(memory_format=torch.channels_last)
    responsibilities = layer.responsibilities(x)
    assert responsibilities.shape == (4, 3, 6, 6)
    torch.testing.assert_close(responsibilities, layer.responsibilities(x.contiguous()))
    torch.testing.assert_close(responsibilities.sum(1), torch.ones(4, 6, 6))
    report = layer.diagnostics(torch.full((4, 3, 6, 6), 1 / 3))
    assert abs(report["mutual_information"]) < 1e-6 and abs(report["entropy"] - 1) < 1e-6
    with pytest.raises(ValueError, match="none yet: train first"):
        CBN(6).diagnostics()


def test_collapsed_components_are_warned_of_once(monkeypatch):
    monkeypatch.setattr(cbn, "BATCHES_BETWEEN_CHECKS", 3)
    layer, healthy = CBN(6, temperature=1e6), trained()
    layer(two_clouds())
    with torch.no_grad():
        layer.running_mean.copy_(layer.running_mean.mean(0).expand(4, -1))
    with pytest.warns(UserWarning, match=r"CBN\(6, num_components=4.*collapsed into one"):
        for _ in range(3):
            layer(two_clouds())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(7):
            layer(two_clouds()), healthy(two_clouds())


@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("load", [nn.Module.load_state_dict, load_state_dict])
def test_a_batch_norm_checkpoint_keeps_its_function_in_evaluation(components, load):
    norm, layer = trained_batch_norm(), CBN(6, num_components=components)
    model, host = nn.ModuleDict({"a": layer}), nn.ModuleDict({"a": norm})
    state = host.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    load(model, state)
    assert all(torch.equal(state[name], before[name]) for name in before)
    x = 3 * torch.randn(4, 6, 5, 5) + 7
    torch.testing.assert_close(layer.eval()(x), norm.eval()(x), rtol=1e-5, atol=1e-5)
    assert layer.num_batches_tracked == 5
    layer.train()(x), norm.train()(x)
    torch.testing.assert_close(layer.running_mean.mean(0), norm.running_mean, rtol=0, atol=0.3)


def test_a_checkpoint_without_a_batch_count_is_not_taken_for_a_fresh_layer():
    norm, layer = trained_batch_norm(), CBN(6)
    state = {k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    layer.load_state_dict(state)
    layer(torch.randn(4, 6, 5, 5))
    assert (layer.running_mean.mean(0) - norm.running_mean).abs().max() < 1


def test_an_untrained_batch_norm_checkpoint_leaves_the_layer_fresh():
    layer = CBN(6)
    layer.load_state_dict(nn.BatchNorm2d(6).state_dict())
    x = 3 * torch.randn(8, 6, 5, 5) + 70
    layer(x)
    torch.testing.assert_close(layer.running_mean.mean(0), x.mean((0, 2, 3)), rtol=0, atol=0.5)


def test_the_state_survives_checkpoints_copies_pickles_and_averages():
    layer = trained()
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    loaded = CBN(6)
    loaded.load_state_dict(torch.load(buffer, weights_only=True))
    average = ExponentialMovingAverage(layer, momentum=0.5, update_buffers=True)
    average.update_parameters(layer)
    copies = [loaded, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), average.module]
    x = two_clouds()
    expected = [layer(x), *statistics(layer), layer.eval()(x)]
    for each in copies:
        each.train()
        for ours, theirs in zip(
            [each(x), *statistics(each), each.eval()(x)], expected, strict=True
        ):
            assert torch.equal(ours, theirs)


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


def test_a_component_without_pixels_is_never_divided_by():
    layer = CBN(6, shrinkage=0.0)
    layer(two_clouds())
    with torch.no_grad():
        layer.running_mean[3] = 1e4
    before = statistics(layer)
    x = two_clouds().requires_grad_()
    y = layer(x)
    y.square().sum().backward()
    assert torch.equal(layer.running_mean[3], before[0][3])
    assert torch.equal(layer.running_var[3], before[1][3])
    for tensor in (y, x.grad, layer.weight.grad, *statistics(layer)):
        assert torch.isfinite(tensor).all()


@pytest.mark.parametrize("shrinkage", [0.1, 1.0])
def test_a_components_own_statistics_leave_k_over_tau_plus_k_of_what_sets_it_apart(shrinkage):
    layer = CBN(8, num_components=2, shrinkage=shrinkage, dtype=torch.float64)
    layer.running_mean.copy_(torch.tensor([[10.0], [-10.0]]).expand(-1, 8))
    x = torch.randn(40, 8, dtype=torch.float64) + 10
    x[30:] -= 20
    mean = x.mean(0)
    y = layer(x)
    layer.momentum = 1.0  # stores the batch's statistics; the pixels keep their components
    layer(x)
    for component, rows in enumerate([slice(0, 30), slice(30, 40)]):
        prior = layer.prior[component]
        deviation = (layer.running_var[component] * 39 / 40 + layer.eps).sqrt()
        kept = y[rows].mean(0) * deviation / (x[rows].mean(0) - mean)
        torch.testing.assert_close(kept, (shrinkage / (prior + shrinkage)).expand(8))


def test_shrinkage_brings_a_lost_component_back():
    layer = CBN(6, num_components=2)
    layer(two_clouds())
    with torch.no_grad():
        layer.running_mean[1] = 1e3
        layer.prior.copy_(torch.tensor([1.0, 0.0]))
    for _ in range(200):
        layer(two_clouds())
    assert layer.diagnostics()["mutual_information"] > 0.9


@pytest.mark.parametrize("shape", [(0, 6, 3, 3), (2, 6, 0, 3), (1, 6, 1, 1), (1, 6), (0, 6)])
def test_less_than_two_pixels_use_the_stored_statistics_and_leave_them(shape):
    layer = trained()
    before = statistics(layer)
    x = torch.randn(shape, requires_grad=True)
    y = layer.train()(x)
    y.sum().backward()
    assert y.shape == shape and torch.equal(y, layer.eval()(x))
    assert all(torch.equal(*pair) for pair in zip(statistics(layer), before, strict=True))
    assert all(torch.isfinite(t.grad).all() for t in (x, *layer.parameters()))


@pytest.mark.parametrize("fresh", [True, False])
def test_constant_input_gives_finite_values_and_gradients(fresh):
    layer = CBN(6) if fresh else trained()
    x = torch.full((4, 6, 3, 3), 7.0, requires_grad=True)
    for _ in range(3):
        y = layer(x)
        y.square().sum().backward()
    for tensor in (y, x.grad, layer.weight.grad, *statistics(layer)):
        assert torch.isfinite(tensor).all()


def test_two_pixels_are_enough():
    layer, x = CBN(6), torch.randn(2, 6, requires_grad=True)
    layer(x).square().sum().backward()
    assert torch.isfinite(x.grad).all() and layer.num_batches_tracked == 1


def test_evaluation_uses_no_batch_statistics_and_changes_nothing():
    layer = trained().eval()
    before = statistics(layer)
    x = two_clouds()
    torch.testing.assert_close(layer(x)[:1], layer(x[:1]), rtol=1e-5, atol=1e-5)
    assert all(torch.equal(*pair) for pair in zip(statistics(layer), before, strict=True))


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


def test_frozen_parameters_and_inputs_get_no_gradient():
    layer = trained().requires_grad_(False)
    x = two_clouds().requires_grad_()
    layer(x).sin().sum().backward()
    assert x.grad.abs().max() > 0 and layer.weight.grad is None
    layer.requires_grad_(True)
    layer(two_clouds()).sin().sum().backward()
    assert layer.weight.grad.abs().max() > 0


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


def test_builds_from_mmcv_with_its_conventions():
    name, layer = build_norm_layer(
        dict(type="CBN", num_components=2, requires_grad=False, momentum=0.02), 6, postfix=3
    )
    assert name == "bn3" and layer.momentum == 0.02 and layer.weight.shape == (2, 6)
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    constant_init(layer, 0)
    assert not layer.weight.any()


def test_names_its_options():
    text = repr(CBN(16, temperature="sqrt_channels", literal=True))
    expected = "CBN(16, num_components=4, eps=1e-05, momentum=0.1, temperature=4, shrinkage=0.0"
    assert text == expected + ", literal=True)"


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(num_components=0), "num_components must be at least 1, got 0"),
        (dict(momentum=None), "momentum must be a number, got None"),
        (dict(temperature="sqrt"), "positive or 'sqrt_channels', got 'sqrt'"),
        (dict(temperature=0), "positive or 'sqrt_channels', got 0"),
        (dict(shrinkage=-0.1), "shrinkage must not be negative, got -0.1"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CBN(4, **options)


@pytest.mark.parametrize("shape", [(6,), (2, 5, 3, 3), (2, 6, 1, 1, 1, 1)])
def test_inputs_of_other_dimensions_or_channels_are_refused(shape):
    with pytest.raises(ValueError, match=r"CBN\(6\) takes \(B, 6\) with .* got \("):
        CBN(6)(torch.randn(shape))


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


def test_compiles_with_one_graph_break_in_training_and_none_in_evaluation():
    layer, x = trained(), two_clouds()
    twin = copy.deepcopy(layer)
    compiled = torch.compile(layer, backend="aot_eager")
    torch.testing.assert_close(compiled(x), twin(x))
    assert all(torch.equal(*pair) for pair in zip(statistics(layer), statistics(twin), strict=True))
    layer.eval(), twin.eval()
    whole = torch.compile(layer, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(whole(x), twin(x), rtol=1e-5, atol=1e-5)


def test_onnx_export_agrees_with_onnxruntime(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    layer, x, path = trained().eval(), two_clouds(), str(tmp_path / "layer.onnx")
    torch.onnx.export(layer, (x,), path, dynamo=False, input_names=["x"])
    (output,) = onnxruntime.InferenceSession(path).run(None, {"x": x.numpy()})
    np.testing.assert_allclose(output, layer(x).detach().numpy(), rtol=1e-4, atol=1e-4)


def test_an_output_that_gets_no_gradient_gives_none():
    class Cut(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, gradient):
            return gradient, None

    layer, x = CBN(6), two_clouds().requires_grad_()
    Cut.apply(x, layer(x)).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x)) and layer.weight.grad is None
