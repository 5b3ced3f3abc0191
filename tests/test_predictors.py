"""Predictors against their formulas: rectified, normalized and scaled logits."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import MODELS
from operation_counts import operations
from torch import nn

from mmdet_ltnorm.predictors import LWSLinear, RectifiedLinear, TauNormLinear


@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(2, 9),
    features=st.integers(1, 6),
    classes=st.integers(1, 7),
    seed=st.integers(0, 2**31),
)
def test_training_logits_are_standardized_over_the_batch(rows, features, classes, seed):
    torch.manual_seed(seed)
    layer = RectifiedLinear(features, classes, dtype=torch.float64)
    x = torch.randn(rows, features, dtype=torch.float64)
    z = x.numpy() @ layer.weight.detach().numpy().T
    expected = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, atol=1e-5)


def test_equals_linear_plus_affine_free_batch_norm_in_value_gradient_and_statistics():
    layer = RectifiedLinear(5, 7, bias=True)
    linear, norm = nn.Linear(5, 7), nn.BatchNorm1d(7, affine=False)
    linear.load_state_dict({"weight": layer.weight, "bias": layer.bias})
    for _ in range(3):
        x = torch.randn(16, 5)
        torch.testing.assert_close(layer(x), norm(linear(x)))
    layer(x).sin().sum().backward()
    norm(linear(x)).sin().sum().backward()
    torch.testing.assert_close(layer.weight.grad, linear.weight.grad)
    torch.testing.assert_close(layer.running_var, norm.running_var)
    torch.testing.assert_close(layer.eval()(x[:1]), norm.eval()(linear(x[:1])))


@pytest.mark.parametrize("rows", [0, 1])
def test_training_batch_without_variance_uses_running_statistics_and_leaves_them(rows):
    layer = RectifiedLinear(3, 4)
    layer(torch.randn(8, 3))
    before = layer.running_mean.clone()
    x = torch.randn(rows, 3)
    out = layer(x)
    out.sum().backward()
    assert torch.equal(out, layer.eval()(x)) and torch.equal(layer.running_mean, before)


def test_statistics_run_over_all_leading_dimensions_and_in_float32():
    layer = RectifiedLinear(3, 4)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(layer(x), layer(x.reshape(10, 3)).reshape(2, 5, 4))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert layer.running_mean.dtype == torch.float32


@pytest.mark.parametrize("shape", [(4, 3), (0, 3), (2, 0, 3), (3,)])
def test_rectified_logits_have_the_leading_dimensions_of_their_input(shape):
    layer = RectifiedLinear(3, 5)
    assert layer(torch.randn(shape)).shape == layer.eval()(torch.randn(shape)).shape
    assert layer(torch.randn(shape)).shape == (*shape[:-1], 5)


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float32, 1e-6), (torch.float16, 1e-3), (torch.bfloat16, 8e-3)]
)
def test_rectified_logits_and_gradients_are_those_of_float64(dtype, error):
    layer, wide = RectifiedLinear(64, 40), RectifiedLinear(64, 40, dtype=torch.float64)
    wide.load_state_dict(layer.state_dict())
    x, upstream = torch.randn(256, 64), torch.randn(256, 40, dtype=dtype)
    found = []
    for each, inputs in ((layer, x), (wide, x.double())):
        inputs = inputs.requires_grad_()
        with torch.autocast("cpu", dtype, enabled=each is layer and dtype != torch.float32):
            y = each(inputs)
        y.backward(upstream.to(y.dtype))
        found.append([y, inputs.grad, each.weight.grad, each.running_mean, each.running_var])
    assert found[0][0].dtype == dtype and layer.running_var.dtype == torch.float32
    for ours, exact in zip(*found, strict=True):
        assert (ours - exact).norm() < error * exact.norm()


@pytest.mark.parametrize("narrow", [False, True])
def test_rectification_is_one_operation_each_way_beyond_the_linear_layer(narrow):
    counts = []
    for layer in (nn.Linear(3, 5, bias=False), RectifiedLinear(3, 5)):
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            counts.append(operations(layer, torch.randn(4, 3)))
    (their_forward, their_backward), (forward, backward) = counts
    assert forward - their_forward == {"empty": 1, "native_batch_norm": 1}  # of no elements
    assert backward - their_backward == {"native_batch_norm_backward": 1}


def test_folded_layer_is_a_plain_linear_layer_with_equal_outputs():
    layer = RectifiedLinear(5, 7)
    layer(torch.randn(32, 5) * 3 + 1)
    x = torch.randn(4, 5)
    assert type(layer.folded()) is nn.Linear
    torch.testing.assert_close(layer.folded()(x), layer.eval()(x))


@pytest.mark.parametrize("loss", ["CrossEntropyLoss", "SeesawLoss"])
def test_serves_as_classifier_of_an_mmdet_box_head(loss):
    head = MODELS.build(
        dict(
            type="Shared2FCBBoxHead",
            in_channels=4,
            roi_feat_size=2,
            fc_out_channels=8,
            num_classes=5,
            cls_predictor_cfg=dict(type="RectifiedLinear"),
            loss_cls=dict(type=loss, **({"num_classes": 5} if loss == "SeesawLoss" else {})),
        )
    )
    head.init_weights()
    scores, boxes = head(torch.randn(6, 4, 2, 2))
    assert scores.shape == (6, 7 if loss == "SeesawLoss" else 6) and boxes.shape == (6, 20)
    torch.testing.assert_close(scores.mean(0), torch.zeros(scores.shape[1]), atol=1e-5, rtol=0)
    assert torch.isfinite(head(torch.randn(1, 4, 2, 2))[0]).all()


@pytest.mark.parametrize("tau", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("bias", [False, True])
def test_tau_norm_divides_each_classs_weights_by_a_power_of_their_length(tau, bias):
    layer = TauNormLinear(5, 7, tau=tau, bias=bias).double()
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    logits = layer(x)
    weight = layer.weight.detach().numpy()
    offset = layer.bias.detach().numpy() if bias else np.zeros(7)
    rows = [row / np.sqrt((row**2).sum()) ** tau for row in weight]
    expected = np.stack([x.detach().numpy() @ row for row in rows], axis=-1) + offset
    np.testing.assert_allclose(logits.detach(), expected, rtol=1e-12, atol=1e-12)
    layer.weight.data.zero_()
    layer(x).sum().backward()
    assert torch.isfinite(layer.weight.grad).all() and torch.isfinite(x.grad).all()


def test_tau_norm_worked_by_hand_and_trained():
    # Weights (3, 4) of length 5, tau = 1/2: (1 * 3 + 1 * 4) / sqrt(5) = 3.1305.
    layer = TauNormLinear(2, 1, tau=0.5)
    layer.load_state_dict({"weight": torch.tensor([[3.0, 4.0]])})
    assert layer(torch.ones(1, 2)).item() == pytest.approx(3.1305, abs=1e-4)
    layer = TauNormLinear(4, 3, tau=0.3).double()
    x = torch.randn(6, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda weight: torch.func.functional_call(layer, {"weight": weight}, x),
        layer.weight.detach().requires_grad_(),
    )


def test_learnable_weight_scaling_starts_as_the_trained_layer_and_moves_only_its_scales():
    linear, layer = nn.Linear(5, 7), LWSLinear(5, 7)
    missing = layer.load_state_dict(linear.state_dict(), strict=False)
    assert missing.missing_keys == ["scale"] and not missing.unexpected_keys
    x = torch.randn(16, 5)
    torch.testing.assert_close(layer(x), linear(x))

    before = copy.deepcopy(layer)
    trained = [p for p in layer.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, weight_decay=0.1)
    layer(x).square().sum().backward()
    optimizer.step()
    assert [name for name, p in layer.named_parameters() if p.requires_grad] == ["scale"]
    assert torch.equal(layer.weight, before.weight) and torch.equal(layer.bias, before.bias)
    assert (layer.scale != 1).all()
    # The scale is that of the whole logit: z = s * (W x + b).
    expected = x.numpy() @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
    expected = layer.scale.detach().numpy() * expected
    np.testing.assert_allclose(layer(x).detach(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("predictor", [TauNormLinear, LWSLinear])
def test_a_predictor_round_trips_and_runs_under_autocast(predictor):
    layer, fresh = predictor(5, 7), predictor(5, 7)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter)
    fresh.load_state_dict(layer.state_dict())
    x = torch.randn(4, 5)
    assert torch.equal(copy.deepcopy(fresh)(x), layer(x))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x).float(), layer(x.float()).float(), rtol=0.05, atol=0.1)
    assert layer(x[:0]).shape == (0, 7)


@pytest.mark.parametrize("predictor", ["TauNormLinear", "LWSLinear"])
def test_new_predictors_serve_as_classifiers_of_an_mmdet_box_head(predictor):
    head = MODELS.build(
        dict(
            type="Shared2FCBBoxHead",
            in_channels=4,
            roi_feat_size=2,
            fc_out_channels=8,
            num_classes=5,
            cls_predictor_cfg=dict(type=predictor),
        )
    )
    head.init_weights()
    assert head(torch.randn(6, 4, 2, 2))[0].shape == (6, 6)
