"""NBN's affine part on group norm, layer norm and CBN: the host's own statistics, NBN's vectors."""

import copy

import pytest
import torch
from mmcv.cnn import build_norm_layer
from torch import nn
from torch.nn import functional as F

from mmdet_ltnorm.engine.checks import magnitudes
from mmdet_ltnorm.norms import CBN, NBN, NCBN, NGN, NLN, share_magnitude
from mmdet_ltnorm.norms.affine import stored
from mmdet_ltnorm.surgery import replace_norms

WIDE = torch.float64


def layers():
    """Return a layer of each kind with random raw vectors and magnitude, and an input for it."""
    made = {
        "NGN": (NGN(6, num_groups=2, dtype=WIDE), torch.randn(3, 6, 4, 4, dtype=WIDE)),
        "NLN": (NLN(6, dtype=WIDE), torch.randn(3, 5, 6, dtype=WIDE)),
        "NCBN": (NCBN(6, num_components=3, dtype=WIDE), torch.randn(4, 6, 3, 3, dtype=WIDE)),
    }
    with torch.no_grad():
        for layer, _ in made.values():
            for parameter in layer.parameters():
                parameter.uniform_(0.5, 2)
    return made


def plain(kind):
    """Return the host's layer with random weights and statistics."""
    host = {
        "NGN": nn.GroupNorm(2, 6, dtype=WIDE),
        "NLN": nn.LayerNorm(6, dtype=WIDE),
        "NCBN": CBN(6, num_components=3, dtype=WIDE),
    }[kind]
    with torch.no_grad():
        for parameter in host.parameters():
            parameter.uniform_(0.5, 2)
    return host


by_kind = pytest.mark.parametrize("kind", ["NGN", "NLN", "NCBN"])


@by_kind
def test_each_row_of_the_effective_vectors_has_the_length_g(kind):
    layer, _ = layers()[kind]
    for name in "weight", "bias":
        raw, effective = stored(layer, name), getattr(layer, name)
        expected = layer.magnitude * raw / raw.square().sum(-1, keepdim=True).sqrt()
        torch.testing.assert_close(effective, expected)


@by_kind
def test_the_statistics_are_the_hosts(kind):
    layer, x = layers()[kind]
    host = plain(kind)
    with torch.no_grad():
        host.weight.copy_(layer.weight)
        host.bias.copy_(layer.bias)
    torch.testing.assert_close(layer(x), host(x))
    torch.testing.assert_close(layer.eval()(x), host.eval()(x))


@by_kind
def test_gradients_are_right(kind):
    layer, x = layers()[kind]
    raw = {n: p.detach().requires_grad_() for n, p in layer.named_parameters()}
    layer.eval()  # CBN's responsibilities move in training
    assert torch.autograd.gradcheck(
        lambda *values: torch.func.functional_call(layer, dict(zip(raw, values, strict=True)), x),
        tuple(raw.values()),
    )


@by_kind
def test_a_fresh_layer_starts_with_the_weight_of_its_host(kind):
    options = {"NGN": dict(num_groups=2), "NLN": {}, "NCBN": dict(num_components=3)}[kind]
    _, layer = build_norm_layer(dict(type=kind, **options), 16)
    torch.testing.assert_close(layer.weight, torch.ones_like(layer.weight))
    torch.testing.assert_close(layer.magnitude.detach(), torch.tensor(4.0))
    assert [name for name, _ in magnitudes(nn.Sequential(layer))] == ["0.magnitude"]
    assert "sharing=1" in repr(layer)


@by_kind
def test_a_checkpoint_of_the_host_keeps_its_function_and_an_own_one_is_restored(kind):
    layer, x = layers()[kind]
    host = plain(kind).eval()
    layer.load_state_dict(host.state_dict())
    torch.testing.assert_close(layer.eval()(x), host(x))
    other, _ = layers()[kind]
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.eval()(x), layer(x))


def test_a_batch_norm_checkpoint_keeps_its_function_in_ncbn():
    norm = nn.BatchNorm2d(6, dtype=WIDE).eval()
    nn.init.uniform_(norm.weight, 0.5, 2), nn.init.normal_(norm.bias)
    layer = NCBN(6, num_components=3, dtype=WIDE).eval()
    layer.load_state_dict(norm.state_dict())
    assert layer.weight_gain.shape == (3,)
    x = torch.randn(2, 6, 3, 3, dtype=WIDE)
    torch.testing.assert_close(layer(x), norm(x))


def test_ncbn_takes_the_place_of_trained_batch_norms_with_their_function():
    plain = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.BatchNorm2d(6)).double().eval()
    for norm in plain[1:]:
        nn.init.uniform_(norm.weight, 0.5, 2), nn.init.normal_(norm.bias)
    model = copy.deepcopy(plain)
    replace_norms(model, dict(type="NCBN", num_components=2), "all")
    x = torch.randn(2, 3, 4, 4, dtype=WIDE)
    torch.testing.assert_close(model(x), plain(x))
    assert [name for name, _ in magnitudes(model)] == ["2.magnitude"]


@by_kind
def test_layers_share_one_magnitude_through_a_copy(kind):
    model = nn.Sequential(layers()[kind][0], layers()[kind][0])
    share_magnitude(list(model))
    twin = copy.deepcopy(model)
    for each in model, twin:
        assert [name for name, _ in magnitudes(each)] == ["1.magnitude"]
        assert each[0].magnitude is each[1].magnitude
    assert twin[0].magnitude is not model[0].magnitude


def test_one_component_and_whole_batches_are_nbn():
    ours, theirs = NCBN(5, num_components=1, dtype=WIDE), NBN(5, dtype=WIDE)
    with torch.no_grad():
        for name in "weight", "bias":
            stored(ours, name)[0].copy_(stored(theirs, name))
    x = torch.randn(4, 5, 3, 3, dtype=WIDE)
    torch.testing.assert_close(ours(x), theirs(x))


def test_ngn_of_one_group_is_layer_norm_of_an_image():
    layer = NGN(4, num_groups=1)
    x = torch.randn(2, 4, 3, 3)
    flat = F.layer_norm(x, x.shape[1:])
    expected = flat * layer.weight[:, None, None] + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x), expected)
