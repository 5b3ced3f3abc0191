"""The C++ passes compute what the matrix products do, and are used where they can be."""

import copy
from contextlib import nullcontext
from unittest.mock import patch

import pytest
import torch
from cbn_layers import statistics, trained
from cbn_matrices import assert_matrices_close, drawn_matrices, matrix_results
from cbn_passes import assert_close, drawn, poisoned, results
from cbn_reference import cbn_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmdet_ltnorm.norms import CBN, split_into
from mmdet_ltnorm.norms.backends.chooser import mixture_backend
from mmdet_ltnorm.norms.backends.composed import Composed
from mmdet_ltnorm.norms.backends.cpu import components as native_components
from mmdet_ltnorm.norms.backends.cpu import native
from mmdet_ltnorm.norms.backends.cpu import pixels as native_pixels
from mmdet_ltnorm.norms.backends.interface import SMALLEST_RESPONSIBILITY
from mmdet_ltnorm.norms.backends.plain import components as plain_components
from mmdet_ltnorm.norms.backends.plain import pixels as plain_pixels

needs_library = pytest.mark.skipif(not native.library(), reason="needs the C++ code")
SIZES = st.one_of(st.integers(1, 40), st.just(4200))
NUMBERS = (torch.float32, torch.bfloat16)


def from_library(arguments):
    """Return the passes' results, in tensors that were NaN before."""
    with (
        patch.object(torch, "empty_like", poisoned(torch.empty_like)),
        patch.object(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty)),
    ):
        return results(native_pixels, arguments)


@pytest.mark.parametrize("components", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("shape", [(3, 5, 4, 3), (2, 70, 65, 65), (1, 2, 2), (2, 1200, 7, 10)])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_each_pass_computes_what_the_matrix_products_do(library, shape, components, dtype):
    for channels_last in (False, True)[: len(shape) - 2]:
        arguments = drawn(shape, components, dtype, channels_last)
        assert_close(from_library(arguments), arguments)


@settings(deadline=None, max_examples=60)
@given(
    samples=st.integers(1, 9),
    channels=st.integers(1, 70),
    pixels=SIZES,
    components=st.integers(1, 8),
    dtype=st.sampled_from(NUMBERS),
    channels_last=st.booleans(),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
@needs_library
def test_all_sizes_and_numbers_of_threads_agree(
    samples, channels, pixels, components, dtype, channels_last, threads, seed
):
    torch.manual_seed(seed)
    arguments = drawn((samples, channels, pixels, 1), components, dtype, channels_last)
    with (
        patch.object(torch, "get_num_threads", lambda: threads),
        patch.object(native, "GRAIN", 1),
    ):
        assert_close(from_library(arguments), arguments)


@pytest.mark.parametrize("components, channels", [(1, 3), (2, 5), (4, 256), (8, 700)])
@pytest.mark.parametrize("pixels", [1.0, 2.0, 100.0])
@pytest.mark.parametrize("kept", [0.0, 0.25])
@pytest.mark.parametrize("broken", [False, True])
def test_the_arithmetic_on_components_is_the_plain_codes(
    library, components, channels, pixels, kept, broken
):
    torch.manual_seed(0)
    arguments = drawn_matrices(components, channels, torch.float32, pixels, kept, broken)
    with patch.object(torch, "empty_like", poisoned(torch.empty_like)):
        ours = matrix_results(native_components, arguments)
    assert_matrices_close(ours, matrix_results(plain_components, arguments), broken)


def test_responsibilities_are_the_softmax_over_its_whole_range(library):
    logits = torch.linspace(-200, 200, 4001)
    x, joint = (
        logits.view(1, 1, -1),
        (torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]), torch.zeros(2, 1)),
    )
    weights, _ = native_pixels.expectation(x, joint, torch.zeros(1), None)
    expected = F.softmax(torch.stack([logits, torch.zeros_like(logits)]).double(), 0)
    expected[expected < SMALLEST_RESPONSIBILITY] = 0
    torch.testing.assert_close(weights[0].double(), expected, rtol=5e-7, atol=2e-20)


def test_numbers_that_are_not_finite_show_in_their_pixel_alone(library):
    x = torch.randn(1, 3, 50)
    x[0, 1, 7], x[0, 2, 40] = torch.nan, torch.inf
    joint = torch.zeros(2, 1), torch.randn(2, 3), torch.zeros(2, 3)
    weights, sums = native_pixels.expectation(x, joint, torch.zeros(3), None)
    broken = weights.isnan().any(1)[0].nonzero().flatten().tolist()
    assert broken == [7, 40]
    assert sums.isnan().any()


@needs_library
def test_the_layer_uses_the_passes_for_float32_and_bfloat16_on_a_cpu_and_else_the_matrix_products():
    image = torch.randn(2, 3, 4, 4)
    eight, plain = torch.ones(8, 3), Composed(plain_pixels, plain_components)
    taken = {
        "image": image,
        "bfloat16": image.bfloat16(),
        "channels last": image.to(memory_format=torch.channels_last),
        "no image": image[:, :, 0, 0].contiguous(),
        "one channel": image[:, :1].contiguous(),
    }
    for name, x in taken.items():
        ours = Composed(native_pixels, native_components)
        assert mixture_backend(x, eight[:, : x.shape[1]].contiguous()) == ours, name
    others = {"double": image.double(), "half": image.half(), "no sample": image[:0]}
    for name, x in others.items():
        assert mixture_backend(x, eight) == plain, name
    with patch.object(native, "library", lambda: None):
        assert mixture_backend(image, eight) == plain
    assert mixture_backend(image, torch.ones(9, 3)) == plain
    for others in ([eight.bfloat16()], [eight, eight.double()]):
        assert mixture_backend(image, *others) == Composed(native_pixels, plain_components)


# Compound and split training, and evaluation.
WAYS = {"training": {}, "split": dict(split=True), "evaluation": dict(training=False)}
# Of the largest number of a tensor of this type.
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


@needs_library
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_layer_is_the_reference_in_its_inputs_format_and_type(way, dtype, memory_format):
    split, training = way.get("split", False), way.get("training", True)
    layer = trained(channels=20, num_components=3).train(training)
    x, upstream = (
        t.to(dtype).to(memory_format=memory_format) for t in 2 + torch.randn(2, 6, 20, 9, 7)
    )
    groups = torch.arange(6) % 3
    wide = [parameter.detach().double().requires_grad_() for parameter in layer.parameters()]
    pixels, state = x.double().requires_grad_(), [b.double() for b in statistics(layer)[:3]]
    true, moved = cbn_reference(
        pixels, *wide, state, layer, groups if split else None, training=training
    )
    true.backward(upstream.double())
    x.requires_grad_()
    with (
        patch.object(plain_pixels, "as_matrices", side_effect=AssertionError("not C++")),
        split_into(groups, 3) if split else nullcontext(),
    ):
        y = layer(x)
        y.backward(upstream)
    for ours, expected in ((y, true), (x.grad, pixels.grad)):
        assert ours.dtype == dtype and ours.stride() == x.stride()
        assert_near(ours, expected, ROUNDING[dtype])
    for parameter, expected in zip(layer.parameters(), wide, strict=True):
        assert_near(parameter.grad, expected.grad, 1e-5)
    for ours, expected in zip(statistics(layer)[:3], moved, strict=True):
        assert_near(ours, expected, 1e-5)


def assert_near(ours, expected, tolerance):
    error = (ours.double() - expected).abs().max()
    assert error <= tolerance * expected.abs().max(), error


@needs_library
def test_stored_statistics_of_another_type_train_as_those_in_float32():
    layer = CBN(5, num_components=3)
    twin = copy.deepcopy(layer)
    for name in ("running_mean", "running_var", "prior"):
        setattr(twin, name, getattr(twin, name).double())
    for _ in range(2):
        x = torch.randn(4, 5, 6, 6)
        torch.testing.assert_close(layer(x), twin(x), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.running_var.double(), twin.running_var, rtol=1e-4, atol=1e-4)


@needs_library
def test_a_layer_trains_the_same_without_them():
    def trained():
        torch.manual_seed(0)
        layer = CBN(12, num_components=6)
        x = torch.randn(8, 12, 9, 9, requires_grad=True)
        layer(x).sin().sum().backward()
        return x.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var

    ours = trained()
    with patch.object(native, "library", lambda: None):
        theirs = trained()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
