"""What a CBN layer does beyond its formula: its start, edges, options and reports."""

import warnings
from contextlib import nullcontext
from unittest.mock import patch

import pytest
import torch
from cbn_layers import statistics, trained, two_clouds

from mmdet_ltnorm.norms import CBN, cbn, split_by
from mmdet_ltnorm.norms.backends.cpu import native


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


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("mode", ["fresh", "compound", "split"])
@pytest.mark.parametrize("place", [(0, 1, 0, 0), (0, 1, 3, 3), (3, 5, 5, 5)])
@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_one_pixel_that_is_not_finite_costs_its_batch_and_not_the_stored_statistics(
    compiled, mode, place, number
):
    if compiled and not native.library():
        pytest.skip("needs the C++ code")
    x, clean = two_clouds(), two_clouds()
    x[place] = number
    with patch.object(native, "library", native.library if compiled else lambda: None):
        layer = CBN(6) if mode == "fresh" else trained()
        before = statistics(layer)
        with split_by(torch.arange(4), 4, "modulo") if mode == "split" else nullcontext():
            y = layer(x)
        expected = y[:, place[1]] if mode == "split" else y
        assert expected.isnan().all()
        for tensor, old in zip(statistics(layer)[:3], before, strict=False):
            assert tensor.isfinite().all() and (mode == "split" or torch.equal(tensor, old))
        assert layer.not_finite == 1
        assert layer(clean).isfinite().all()
        assert layer.eval()(x).isfinite().float().mean() > 0.98  # of the pixel's six channels none


def test_a_layer_says_now_and_then_that_it_got_numbers_that_are_not_finite(monkeypatch):
    monkeypatch.setattr(cbn, "BATCHES_BETWEEN_CHECKS", 3)
    layer, x = CBN(6, num_components=1), two_clouds()
    x[0, 0, 0, 0] = torch.nan
    layer(two_clouds()), layer(x)
    with pytest.warns(UserWarning, match=r"CBN\(6, num_components=1.*NaN or infinite numbers"):
        layer(two_clouds())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(6):
            layer(two_clouds())


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
    assert y.shape == shape
    torch.testing.assert_close(y, layer.eval()(x))
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


def test_frozen_parameters_and_inputs_get_no_gradient():
    layer = trained().requires_grad_(False)
    x = two_clouds().requires_grad_()
    layer(x).sin().sum().backward()
    assert x.grad.abs().max() > 0 and layer.weight.grad is None
    layer.requires_grad_(True)
    layer(two_clouds()).sin().sum().backward()
    assert layer.weight.grad.abs().max() > 0


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


def test_names_its_options():
    text = repr(CBN(16, temperature="sqrt_channels", literal=True))
    expected = "CBN(16, num_components=4, eps=1e-05, momentum=0.1, temperature=4, shrinkage=0.0"
    assert text == expected + ", literal=True)"


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(num_components=0), "num_components must be >= 1, got 0"),
        (dict(momentum=None), "momentum must be a number, got None"),
        (dict(temperature="sqrt"), "temperature must be > 0 or 'sqrt_channels', got 'sqrt'"),
        (dict(temperature=0), "temperature must be > 0, got 0"),
        (dict(shrinkage=-0.1), "shrinkage must be >= 0, got -0.1"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        CBN(4, **options)


@pytest.mark.parametrize("shape", [(6,), (2, 5, 3, 3), (2, 6, 1, 1, 1, 1)])
def test_inputs_of_other_dimensions_or_channels_are_refused(shape):
    with pytest.raises(ValueError, match=r"CBN\(6\) takes \(B, 6\) with .* got \("):
        CBN(6)(torch.randn(shape))
