"""CBN against a slow, obvious reference, torch's batch norm and finite differences."""

import math
from contextlib import nullcontext
from unittest.mock import patch

import pytest
import torch
from cbn_precision import FAR, LAYERS, assert_as_precise_as_batch_norm, errors
from cbn_reference import cbn_reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from mmdet_ltnorm.norms import CBN, split_by
from mmdet_ltnorm.norms.backends.composed import Composed
from mmdet_ltnorm.norms.backends.cpu import native
from mmdet_ltnorm.norms.backends.interface import Components, Rule
from mmdet_ltnorm.norms.backends.plain import components, pixels
from mmdet_ltnorm.norms.mixture import MixtureNorm

SHAPES = st.tuples(st.integers(2, 5), st.integers(1, 7)).flatmap(
    lambda start: st.lists(st.integers(1, 5), max_size=3).map(lambda rest: (*start, *rest))
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "literal": st.just(True),
        "temperature": st.just("sqrt_channels"),
        "shrinkage": st.sampled_from([0.0, 1.0]),
    },
)
BUFFERS = ("running_mean", "running_var", "prior")


def randomized(channels, components=3, dtype=torch.float64, **options):
    """Return a CBN layer whose parameters and statistics are all random."""
    layer = CBN(channels, num_components=components, dtype=dtype, **options)
    with torch.no_grad():
        for tensor in (*layer.parameters(), layer.running_mean):
            tensor.normal_()
        layer.running_var.uniform_(0.5, 2)
        layer.prior.copy_(torch.rand(components).softmax(0))
    return layer


def in_memory_format(x, memory):
    if memory == "channels_last":
        return x.movedim(1, -1).contiguous().movedim(-1, 1)
    if memory == "transposed":
        return x.movedim(0, -1).contiguous().movedim(-1, 0)
    return x


def values_and_gradients(run, x, upstream, parameters):
    """Return the output, then the gradients of the input and the parameters."""
    x = x.clone().requires_grad_()
    y = run(x)
    return [y, *torch.autograd.grad(y, [x, *parameters], upstream)]


@settings(deadline=None, max_examples=150)
@given(
    shape=SHAPES,
    components=st.integers(1, 5),
    options=OPTIONS,
    memory=st.sampled_from(["contiguous", "channels_last", "transposed"]),
    split=st.booleans(),
    training=st.booleans(),
    tile=st.sampled_from([64, 800, 2**20]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    seed=st.integers(0, 2**31),
)
def test_values_gradients_and_statistics_are_the_references(
    shape, components, options, memory, split, training, tile, dtype, seed
):
    # A variance of one or two pixels is next to zero: in float32, rounding is all that is left.
    few = math.prod(shape) < 6 * shape[1] or options.get("shrinkage") == 0 or split
    assume(dtype == torch.float64 or not few)
    torch.manual_seed(seed)
    layer = randomized(shape[1], components, dtype, **options).train(training)
    labels = torch.randint(0, components, shape[:1])
    x, upstream = torch.randn(2, *shape, dtype=dtype)
    double = [tensor.detach().double() for tensor in (x, upstream)]
    parameters = [tensor.detach().double().requires_grad_() for tensor in layer.parameters()]
    state = [getattr(layer, name).double() for name in BUFFERS]
    groups = labels if split and training else None

    def run_reference(x):
        nonlocal state
        y, state = cbn_reference(x, *parameters, state, layer, groups, training)
        return y

    expected = values_and_gradients(run_reference, *double, parameters)
    context = split_by(labels, components, "modulo") if split else nullcontext()
    with pytest.MonkeyPatch.context() as patch, context:
        patch.setitem(pixels.TILE_BYTES, "cpu", tile)
        patch.setattr(pixels, "TILE_PIXELS", 3)
        x, upstream = in_memory_format(x, memory), in_memory_format(upstream, memory)
        actual = values_and_gradients(layer, x, upstream, list(layer.parameters()))
    actual += [getattr(layer, name) for name in BUFFERS]
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    for ours, theirs in zip(actual, [*expected, *state], strict=True):
        scale = max(1, theirs.abs().max().item()) if theirs.numel() else 1
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("shape", [(16, 5), (8, 5, 9), (6, 5, 7, 8), (4, 5, 3, 4, 5)])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("options", [{}, {"shrinkage": 0.7}, {"momentum": 0.02, "eps": 1e-3}])
def test_one_component_is_batch_norm(shape, dtype, tolerance, options):
    kinds = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
    host = {name: value for name, value in options.items() if name != "shrinkage"}
    norm = kinds[len(shape)](5, **host, dtype=dtype)
    layer = CBN(5, num_components=1, dtype=dtype, **options)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    layer.load_state_dict(norm.state_dict())
    for training in (True, True, False):
        norm.train(training), layer.train(training)
        x, upstream = torch.randn(2, *shape, dtype=dtype)
        x = 3 * x + 2
        ours = values_and_gradients(layer, x, upstream, list(layer.parameters()))
        theirs = values_and_gradients(norm, x, upstream, list(norm.parameters()))
        ours += [layer.running_mean, layer.running_var]
        theirs += [norm.running_mean, norm.running_var]
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b.expand_as(a), rtol=tolerance, atol=5 * tolerance)
    assert layer.num_batches_tracked == norm.num_batches_tracked and layer.prior == 1


@pytest.mark.parametrize("options", [{}, {"literal": True}])
def test_permuting_the_components_permutes_the_state_and_changes_no_output(options):
    layer, order = randomized(6, 4, **options), torch.tensor([2, 0, 3, 1])
    permuted = randomized(6, 4, **options)
    rows = {name: tensor for name, tensor in layer.state_dict().items() if tensor.dim()}
    permuted.load_state_dict({name: tensor[order] for name, tensor in rows.items()}, strict=False)
    x, upstream = torch.randn(2, 3, 6, 5, 4, dtype=torch.float64)
    for training in (True, False):
        layer.train(training), permuted.train(training)
        ours = values_and_gradients(permuted, x, upstream, list(permuted.parameters()))
        theirs = values_and_gradients(layer, x, upstream, list(layer.parameters()))
        for a, b in zip(ours, [*theirs[:2], *(t[order] for t in theirs[2:])], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    for name in rows:
        ours, theirs = permuted.state_dict()[name], layer.state_dict()[name][order]
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kept", [0.0, 0.1])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("split", [True, False])
def test_gradcheck_passes(kept, training, split):
    """Responsibilities are constant here: one-hot by group, or near the prior at a high T."""
    layer = randomized(3)
    stored = Components(*(getattr(layer, name) for name in BUFFERS))
    groups = torch.tensor([0, 2]) if split else None
    rule, plain = Rule(1e-5, 1e12, 0.1, kept, training), Composed(pixels, components)
    x = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)

    def run(x, weight, bias):
        return MixtureNorm.apply(x, weight, bias, stored, groups, rule, None, plain)[0]

    assert torch.autograd.gradcheck(run, (x, layer.weight, layer.bias))


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("compiled", [True, False])
def test_pixels_far_from_zero_lose_no_more_precision_than_in_batch_norm(far, name, compiled):
    if compiled and not native.library():
        pytest.skip("needs the C++ code")
    with patch.object(native, "library", native.library if compiled else lambda: None):
        assert_as_precise_as_batch_norm(errors(far, **LAYERS[name]))
