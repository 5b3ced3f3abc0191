"""NBN against Eq. 2 of its paper, the authors' arithmetic and torch's own layers."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mmcv.cnn import build_norm_layer
from nbn_layers import randomized
from torch import nn

from mmdet_ltnorm.norms import NBN, share_magnitude
from mmdet_ltnorm.norms.backends.plain.nbn import rescaled

SHAPES = st.tuples(st.integers(2, 5), st.integers(1, 9), st.integers(1, 6), st.integers(1, 6))


def batch_norm_paper(x, gamma, beta, mean, var, eps=1e-5):
    """Compute Eq. 1 of the NBN paper in NumPy."""
    x_hat = (x - mean[:, None, None]) / np.sqrt(var[:, None, None] + eps)
    return gamma[:, None, None] * x_hat + beta[:, None, None]


def numerical_gradient(function, array, step=1e-6):
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        forth, back = array.copy(), array.copy()
        forth[index] += step
        back[index] -= step
        gradient[index] = (function(forth) - function(back)) / (2 * step)
    return gradient


@settings(deadline=None, max_examples=40)
@given(shape=SHAPES, seed=st.integers(0, 2**31), training=st.booleans(), separate=st.booleans())
def test_output_is_equation_2_in_float64(shape, seed, training, separate):
    torch.manual_seed(seed)
    layer = randomized(shape[1], separate_magnitudes=separate).train(training)
    x = torch.randn(shape, dtype=torch.float64)
    raw = {name: tensor.detach().numpy() for name, tensor in layer.state_dict().items()}
    # Shorter vectors are below the floor of a direction, tested on its own.
    assume(min(np.linalg.norm(raw["weight"]), np.linalg.norm(raw["bias"])) > 0.01)
    mean, var = raw["running_mean"].copy(), raw["running_var"].copy()
    if training:
        mean, var = x.numpy().mean((0, 2, 3)), x.numpy().var((0, 2, 3))
    g_weight, g_bias = raw["magnitude"], raw["bias_magnitude" if separate else "magnitude"]
    gamma = g_weight * raw["weight"] / np.sqrt((raw["weight"] ** 2).sum())
    beta = g_bias * raw["bias"] / np.sqrt((raw["bias"] ** 2).sum())
    expected = batch_norm_paper(x.numpy(), gamma, beta, mean, var)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("separate", [False, True])
def test_gradients_are_those_of_equation_2_by_finite_differences(separate):
    layer = randomized(5, separate_magnitudes=separate)
    x, upstream = torch.randn(2, 3, 5, 4, 4, dtype=torch.float64)
    x.requires_grad_()
    layer(x).mul(upstream).sum().backward()

    def loss(x, weight, bias, g_weight, g_bias):
        gamma, beta = (
            g_weight * weight / np.linalg.norm(weight),
            g_bias * bias / np.linalg.norm(bias),
        )
        y = batch_norm_paper(x, gamma, beta, x.mean((0, 2, 3)), x.var((0, 2, 3)))
        return (y * upstream.numpy()).sum()

    raw = {name: parameter.detach().numpy() for name, parameter in layer.named_parameters()}
    raw["x"] = x.detach().numpy()
    for name, value in raw.items():

        def at(array, name=name):
            point = {**raw, name: array}
            g = point["magnitude"]
            return loss(
                point["x"], point["weight"], point["bias"], g, point.get("bias_magnitude", g)
            )

        actual = x.grad if name == "x" else layer._parameters[name].grad
        np.testing.assert_allclose(actual, numerical_gradient(at, value), rtol=1e-6, atol=1e-7)


def test_raw_weight_gradient_follows_equation_3():
    layer = randomized(6, separate_magnitudes=True)
    x = torch.randn(4, 6, 3, 3, dtype=torch.float64)
    gamma = layer.weight
    gamma.retain_grad()
    y = nn.functional.batch_norm(x, None, None, gamma, layer.bias, training=True)
    (y**3).sum().backward()
    raw, alpha = layer._parameters["weight"], -layer.magnitude.grad
    unit = raw.detach() / raw.detach().norm()
    expected = layer.magnitude / raw.norm() * (gamma.grad + alpha * unit)
    torch.testing.assert_close(raw.grad, expected)
    torch.testing.assert_close((raw.grad * unit).sum(), torch.zeros((), dtype=torch.float64))


def test_rescaling_has_right_first_and_second_derivatives():
    vector = torch.randn(5, dtype=torch.float64, requires_grad=True)
    magnitude = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    gain = torch.tensor(0.6, dtype=torch.float64)
    assert torch.autograd.gradcheck(rescaled, (vector, magnitude, gain))
    assert torch.autograd.gradgradcheck(rescaled, (vector, magnitude, gain))
    short = (vector.detach() * 1e-4).requires_grad_()
    assert torch.autograd.gradcheck(rescaled, (short, magnitude, gain))


def test_official_arithmetic_is_the_authors_bit_for_bit():
    layer = NBN(16, official=True)
    assert layer.magnitude == 1 and not layer.bias.any()
    with torch.no_grad():
        layer._parameters["weight"].uniform_(0.3, 1.7)
        layer._parameters["bias"].normal_()
        layer.magnitude.fill_(2.7)
    weight, bias, g = layer._parameters["weight"], layer._parameters["bias"], layer.magnitude
    x = torch.randn(4, 16, 5, 5)
    theirs_weight = weight / (torch.norm(weight) + 1e-6) * g
    theirs_bias = bias / (torch.norm(bias) + 1e-6) * g
    expected = nn.functional.batch_norm(x, None, None, theirs_weight, theirs_bias, training=True)
    assert torch.equal(layer.weight, theirs_weight) and torch.equal(layer.bias, theirs_bias)
    assert torch.equal(layer(x), expected)


def test_fresh_layer_starts_with_the_weight_of_batch_norm():
    layer = NBN(64)
    torch.testing.assert_close(layer.weight, torch.ones(64))
    torch.testing.assert_close(layer.magnitude.detach(), torch.tensor(8.0))
    raw_bias = layer._parameters["bias"]
    assert 0.05 < raw_bias.std() < 0.15
    torch.testing.assert_close(layer.bias.norm(), layer.magnitude)


def test_zero_vector_has_an_ordinary_gradient_where_the_authors_code_has_a_million():
    gradients = {}
    for official in (False, True):
        layer = NBN(64, official=official)
        with torch.no_grad():
            layer._parameters["bias"].zero_()
            layer.magnitude.fill_(1)
        x = torch.randn(8, 64, 4, 4, generator=torch.Generator().manual_seed(0))
        layer(x).sin().mean().backward()
        gradients[official] = layer._parameters["bias"].grad.norm()
    torch.testing.assert_close(
        gradients[True] / gradients[False], torch.tensor(1e4), rtol=1e-3, atol=0
    )
    assert torch.isfinite(gradients[False])


def test_zero_raw_weight_gives_finite_values_and_gradients():
    layer = NBN(4)
    with torch.no_grad():
        layer._parameters["weight"].zero_()
    layer(torch.randn(2, 4, 3, 3)).square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in layer.parameters())


def test_ablations_of_table_ix():
    raw = NBN(9, normalize=False)
    with torch.no_grad():
        raw._parameters["weight"].uniform_(1, 2)
        raw.magnitude.fill_(3)
    assert torch.equal(raw.weight, 3 * raw._parameters["weight"])
    fixed = NBN(9, learn_magnitude=False)
    assert "magnitude" in fixed.state_dict() and "magnitude" not in dict(fixed.named_parameters())
    assert build_norm_layer(dict(type="NBN", learn_magnitude=False), 9)[1].magnitude == 3


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="affine=False"):
        NBN(4, affine=False)
    with pytest.raises(ValueError, match=r"preserve.*got 'keep'"):
        NBN(4, pretrained="keep")


def test_builds_from_mmcv_with_its_conventions():
    name, layer = build_norm_layer(
        dict(type="NBN", requires_grad=False, momentum=0.02), 6, postfix=3
    )
    assert name == "bn3" and layer.momentum == 0.02
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    assert "sharing=1" in repr(layer) and "official=True" in repr(NBN(2, official=True))


@pytest.mark.parametrize("shape", [(0, 4, 3, 3), (1, 4, 1, 1)])
def test_batch_without_variance_uses_running_statistics_and_leaves_them(shape):
    layer = randomized(4)
    before = layer.running_mean.clone(), layer.running_var.clone()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    y = layer.train()(x)
    y.sum().backward()
    assert y.shape == shape and torch.equal(y, layer.eval()(x))
    assert torch.equal(layer.running_mean, before[0]) and torch.equal(layer.running_var, before[1])
    assert all(torch.isfinite(parameter.grad).all() for parameter in layer.parameters())


def test_evaluation_uses_no_batch_statistics():
    layer = randomized(4).eval()
    x = torch.randn(6, 4, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[:1], layer(x[:1]))


def test_computes_in_float32_under_autocast_and_gives_the_dtype_back():
    layer = NBN(8)
    x = torch.randn(4, 8, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.weight.dtype == torch.float32
        half = layer(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), layer(x), atol=0.05, rtol=0.05)
    assert NBN(8).bfloat16()(x.bfloat16()).dtype == torch.bfloat16


def test_compiles_without_a_graph_break():
    model = nn.Sequential(NBN(4), nn.ReLU(), NBN(4))
    share_magnitude([model[0], model[2]])
    reference = copy.deepcopy(model)
    x = torch.randn(2, 4, 5, 5)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), reference(x))
    compiled(x).sin().sum().backward()
    reference(x).sin().sum().backward()
    torch.testing.assert_close(model[2].magnitude.grad, reference[2].magnitude.grad)


def test_folded_layer_is_a_plain_batch_norm_in_training_and_evaluation():
    layer = randomized(6)
    x = torch.randn(4, 6, 3, 3, dtype=torch.float64)
    plain = layer.folded()
    assert type(plain) is nn.BatchNorm2d
    torch.testing.assert_close(plain(x), layer(x))
    torch.testing.assert_close(plain.state_dict()["running_var"], layer.running_var)
    torch.testing.assert_close(layer.folded().eval()(x), layer.eval()(x))
