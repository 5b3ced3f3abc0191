"""Where g starts: options of fresh layers, whatever shares it, computes it or is loaded later."""

import copy
import math

import pytest
import torch
from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS
from torch import nn

from mmdet_ltnorm.norms import NBN, NCBN, NGN, NLN, share_magnitude
from mmdet_ltnorm.norms.affine import stored

WIDTHS = (16, 16, 64)
SQRT_MEAN = (4 + 4 + 8) / 3


def sharing(**options):
    """Return layers of two widths that share g."""
    layers = [NBN(width, **options) for width in WIDTHS]
    share_magnitude(layers)
    return layers


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({}, SQRT_MEAN),
        (dict(initial_magnitude="sqrt_channels"), SQRT_MEAN),
        (dict(initial_magnitude=1), 1),
        (dict(initial_magnitude=2.5, learn_magnitude=False), 2.5),
        (dict(official=True), 1),
        (dict(official=True, initial_magnitude=3), 3),
        (dict(official=True, initial_magnitude="sqrt_channels"), SQRT_MEAN),
        (dict(normalize=False), SQRT_MEAN),
        (dict(normalize=False, initial_magnitude=1), 1),
    ],
)
def test_g_starts_as_told_and_the_same_for_all_that_share_it(options, start):
    layers = sharing(**options)
    assert layers[0].magnitude.item() == pytest.approx(start)
    assert all(layer.magnitude is layers[-1].magnitude for layer in layers)
    for layer in layers:
        weight, bias = stored(layer, "weight").detach(), stored(layer, "bias").detach()
        assert torch.equal(weight, torch.ones_like(weight))
        assert bias.any() != layer.official
        if layer.normalize:
            weight, bias = weight / weight.norm(), bias / bias.norm().clamp(min=1e-9)
        torch.testing.assert_close(layer.weight, start * weight, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(layer.bias, start * bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "starts"),
    [
        (dict(initial_magnitude=2, initial_bias_magnitude=0.5), (2, 0.5)),
        (dict(initial_magnitude=2, initial_bias_magnitude="sqrt_channels"), (2, SQRT_MEAN)),
        (dict(initial_bias_magnitude=0), (SQRT_MEAN, 0)),
        (dict(official=True), (1, 1)),
        (dict(official=True, initial_magnitude=2, initial_bias_magnitude=3), (2, 3)),
    ],
)
def test_the_bias_has_its_own_start_with_a_magnitude_of_its_own(options, starts):
    layer = sharing(separate_magnitudes=True, **options)[0]
    found = layer.magnitude.item(), layer.bias_magnitude.item()
    assert found == pytest.approx(starts)


def test_without_a_start_of_its_own_the_biass_magnitude_is_the_length_of_the_raw_bias():
    layers = sharing(separate_magnitudes=True, initial_magnitude=2)
    lengths = [stored(layer, "bias").norm().item() for layer in layers]
    assert layers[0].bias_magnitude.item() == pytest.approx(sum(lengths) / 3)


def test_a_bias_that_starts_at_0_leaves_it_again_and_starts_as_batch_norm():
    layer, plain = NBN(8, separate_magnitudes=True, initial_bias_magnitude=0), nn.BatchNorm2d(8)
    x = torch.randn(4, 8, 3, 3)
    torch.testing.assert_close(layer(x), plain(x))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        layer(x).sin().sum().backward()
        optimizer.step()
    assert layer.bias.abs().max() > 1e-3
    assert stored(layer, "bias").grad.abs().max() > 0


@pytest.mark.parametrize("share", ["all", "block", "none"])
@pytest.mark.parametrize("positions", ["residual", "all"])
def test_every_sharing_and_position_of_a_backbone_takes_a_start(share, positions):
    def built(**options):
        host = dict(type="ResNet", depth=18, base_channels=8)
        norm = dict(type="NBN", **options)
        return MODELS.build(
            dict(
                type="LTNormBackbone", backbone=host, norm_cfg=norm, share=share,
                positions=positions,
            )
        )  # fmt: skip

    for layer in (m for m in built().modules() if isinstance(m, NBN)):
        widths = [each.num_features for each in layer.sharing]
        expected = sum(map(math.sqrt, widths)) / len(widths)
        assert layer.magnitude.item() == pytest.approx(expected)
    ones = [m for m in built(initial_magnitude=1).modules() if isinstance(m, NBN)]
    assert {layer.magnitude.item() for layer in ones} == {1}


@pytest.mark.parametrize("pretrained", ["preserve", "mean", "one"])
def test_a_plain_checkpoint_sets_g_by_pretrained_and_not_by_the_start(pretrained):
    plain = [nn.BatchNorm2d(width) for width in WIDTHS]
    for norm in plain:
        nn.init.uniform_(norm.weight, 0.2, 2)
        nn.init.normal_(norm.bias)
    found = []
    for start in ("sqrt_channels", 7):
        layers = sharing(pretrained=pretrained, initial_magnitude=start)
        for layer, norm in zip(layers, plain, strict=True):
            layer.load_state_dict(norm.state_dict())
        found.append([layers[0].magnitude.item(), *(layer.weight_gain.item() for layer in layers)])
    assert found[0] == found[1]


def test_an_own_checkpoint_and_a_fresh_start_put_g_where_they_say():
    layers = sharing(initial_magnitude=3)
    other = sharing(initial_magnitude=5)
    for layer, saved in zip(layers, other, strict=True):
        layer.load_state_dict(saved.state_dict())
    assert layers[0].magnitude == 5
    layers[0].reset_parameters()
    assert layers[0].magnitude == 3


@pytest.mark.parametrize("start", ["sqrt_channels", 1, 0.25, 30])
@pytest.mark.parametrize("separate", [False, True])
def test_every_code_path_computes_equation_2_from_it(start, separate):
    options = dict(initial_magnitude=start, separate_magnitudes=separate)
    if separate:
        options["initial_bias_magnitude"] = 0
    layer = NBN(6, **options)
    wide = copy.deepcopy(layer).double()  # torch's operations; float32 takes the C++ code
    x, upstream = torch.randn(2, 4, 6, 5, 5)
    results = []
    for each, dtype in ((layer, torch.float32), (wide, torch.float64)):
        inputs = x.detach().to(dtype).requires_grad_()
        y = each(inputs)
        y.backward(upstream.to(dtype))
        gradients = [parameter.grad for parameter in each.parameters()]
        results.append([t.double() for t in (y.detach(), inputs.grad, *gradients)])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    g = math.sqrt(6) if start == "sqrt_channels" else start
    beta = wide.bias.detach()
    assert beta.norm().item() == pytest.approx(0 if separate else g)
    normalized = nn.functional.batch_norm(x.double(), None, None, training=True)
    expected = normalized * g / math.sqrt(6) + beta[:, None, None]
    torch.testing.assert_close(results[1][0], expected)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("NGN", dict(num_groups=2)), ("NLN", {}), ("NCBN", dict(num_components=3))],
)
def test_the_other_normalized_layers_take_a_start_too(kind, options):
    _, layer = build_norm_layer(dict(type=kind, initial_magnitude=0.5, **options), 16)
    assert isinstance(layer, {"NGN": NGN, "NLN": NLN, "NCBN": NCBN}[kind])
    assert layer.magnitude == 0.5
    torch.testing.assert_close(layer.weight, torch.full_like(layer.weight, 0.125))
    assert "initial_magnitude=0.5" in repr(layer)
    with pytest.raises(ValueError, match="initial_magnitude must be a number above 0"):
        build_norm_layer(dict(type=kind, initial_magnitude=0, **options), 16)


@pytest.mark.parametrize(
    "start", [0, -1, math.nan, math.inf, True, "sqrt", "1", [1.0], torch.ones(2)]
)
def test_an_unknown_start_is_refused(start):
    message = r"initial_magnitude must be a number above 0 or 'sqrt_channels', got"
    with pytest.raises(ValueError, match=message):
        NBN(4, initial_magnitude=start)


def test_a_start_for_a_missing_magnitude_is_refused():
    with pytest.raises(ValueError, match=r"does not have: set separate_magnitudes=True"):
        NBN(4, initial_bias_magnitude=1)
    with pytest.raises(ValueError, match=r"initial_bias_magnitude must be a number from 0 on"):
        NBN(4, separate_magnitudes=True, initial_bias_magnitude=-1)
    with pytest.raises(ValueError, match="equal options"):
        share_magnitude([NBN(4, initial_magnitude=1), NBN(4, initial_magnitude=2)])


def test_the_rows_of_table_ix_start_from_one_g_and_one_raw_bias():
    for start in ("sqrt_channels", 1):
        rows = []
        for options in ({}, dict(learn_magnitude=False), dict(normalize=False)):
            torch.manual_seed(0)
            rows.append(sharing(initial_magnitude=start, **options))
        for layers in zip(*rows, strict=True):
            assert len({layer.magnitude.item() for layer in layers}) == 1
            for name in "weight", "bias":
                ours, fixed, unnormalized = (stored(layer, name) for layer in layers)
                assert torch.equal(ours, fixed) and torch.equal(ours, unnormalized)
