"""The C++ passes compute what the matrix products do, and are used where they can be."""

import copy
from unittest.mock import patch

import pytest
import torch
from cbn_matrices import assert_matrices_close, drawn_matrices, matrix_results
from cbn_passes import assert_close, drawn, poisoned, results
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmdet_ltnorm.norms import CBN
from mmdet_ltnorm.norms.backends import feature_map
from mmdet_ltnorm.norms.backends.chooser import mixture_backend
from mmdet_ltnorm.norms.backends.composed import Composed
from mmdet_ltnorm.norms.backends.cpu import components as native_components
from mmdet_ltnorm.norms.backends.cpu import native
from mmdet_ltnorm.norms.backends.cpu import pixels as native_pixels
from mmdet_ltnorm.norms.backends.interface import SMALLEST_RESPONSIBILITY
from mmdet_ltnorm.norms.backends.plain import components as plain_components
from mmdet_ltnorm.norms.backends.plain import pixels as plain_pixels

needs_library = pytest.mark.skipif(not native.library(), reason="needs the C++ code")
SIZES = st.one_of(st.integers(2, 40), st.just(4200))


def from_library(arguments):
    """Return the passes' results, in tensors that were NaN before."""
    with (
        patch.object(torch, "empty_like", poisoned(torch.empty_like)),
        patch.object(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty)),
    ):
        return results(native_pixels, arguments)


@pytest.mark.parametrize("components", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("shape", [(3, 5, 4, 3), (2, 70, 65, 65), (1, 2, 2), (2, 1200, 7, 10)])
def test_each_pass_computes_what_the_matrix_products_do(library, shape, components):
    arguments = drawn(shape, components, torch.float32, channels_last=False)
    assert_close(from_library(arguments), arguments)


@settings(deadline=None, max_examples=60)
@given(
    samples=st.integers(1, 4),
    channels=st.integers(2, 70),
    pixels=SIZES,
    components=st.integers(1, 8),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
@needs_library
def test_all_sizes_and_numbers_of_threads_agree(
    samples, channels, pixels, components, threads, seed
):
    torch.manual_seed(seed)
    arguments = drawn((samples, channels, pixels), components, torch.float32, channels_last=False)
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
def test_the_layer_uses_the_passes_for_float32_images_on_a_cpu_and_else_the_matrix_products():
    image = torch.randn(2, 3, 4, 4)
    eight, plain = torch.ones(8, 3), Composed(plain_pixels, plain_components)
    assert mixture_backend(image, eight) == Composed(native_pixels, native_components)
    others = {
        "double": image.double(),
        "half": image.bfloat16(),
        "channels last": image.to(memory_format=torch.channels_last),
        "no image": image[:, :, 0, 0],
        "one channel": image[:, :1].contiguous(),
        "no sample": image[:0],
    }
    for name, x in others.items():
        assert mixture_backend(feature_map.dense(x), eight) == plain, name
    assert mixture_backend(image, torch.ones(9, 3)) == plain
    for others in ([eight.bfloat16()], [eight, eight.double()]):
        assert mixture_backend(image, *others) == Composed(native_pixels, plain_components)


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
