"""NBN's C++ code computes what torch's operations do in float64, and is used where it can be."""

import copy
from unittest.mock import patch

import pytest
import torch
from cbn_passes import poisoned
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmdet_ltnorm.norms import NBN, share_magnitude
from mmdet_ltnorm.norms.backends.cpu import native
from mmdet_ltnorm.norms.backends.cpu import nbn as native_nbn

needs_library = pytest.mark.skipif(not native.library(), reason="needs the C++ code")


def randomized(channels, **options):
    """Return a layer whose raw vectors, magnitude, gains and statistics are all random."""
    layer = NBN(channels, **options)
    with torch.no_grad():
        for name, tensor in layer.state_dict().items():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 2) if name.endswith(("var", "gain")) else tensor.normal_()
    return layer


def results(layer, x, upstream):
    """Return the output, the statistics afterwards, and all gradients."""
    x = x.detach().requires_grad_()
    y = layer(x)
    y.backward(upstream)
    found = dict(layer.named_buffers(), y=y.detach(), x=x.grad)
    return found | {f"to {name}": p.grad for name, p in layer.named_parameters()}


def assert_as_in_float64(layer, x, upstream, tolerance=1e-5):
    oracle = copy.deepcopy(layer).double()
    with (
        patch.object(torch, "empty_like", poisoned(torch.empty_like)),
        patch.object(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty)),
        patch.object(nn.functional, "batch_norm", side_effect=AssertionError("not C++")),
    ):
        ours = results(layer, x, upstream)
    for name, expected in results(oracle, x.double(), upstream.double()).items():
        error = (ours[name].double() - expected).abs().max()
        assert error <= tolerance * expected.abs().max().clamp_min(1), (name, error)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 5, 4, 3), (2, 70, 65, 65), (1, 2, 1, 2), (2, 1200, 7, 10)])
def test_values_statistics_and_gradients_are_those_of_torch(library, shape, training):
    layer = randomized(shape[1], separate_magnitudes=shape[1] == 5).train(training)
    assert_as_in_float64(layer, 3 + torch.randn(shape), torch.randn(shape))


@needs_library
@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(*(st.integers(low, high) for low, high in ((1, 4), (2, 70), (2, 9), (1, 9)))),
    threads=st.integers(1, 3),
    training=st.booleans(),
    tracked=st.booleans(),
    separate=st.booleans(),
    short=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_all_sizes_threads_and_options_agree(
    shape, threads, training, tracked, separate, short, seed
):
    torch.manual_seed(seed)
    layer = randomized(shape[1], separate_magnitudes=separate, track_running_stats=tracked)
    if short:  # below the floor of a direction, where the gradient is another
        with torch.no_grad():
            layer._parameters["weight"].mul_(1e-4)
            layer._parameters["bias"].zero_()
    with (
        patch.object(torch, "get_num_threads", lambda: threads),
        patch.object(native, "GRAIN", 1),
    ):
        # Few pixels can be nearly equal, and their deviation a small difference.
        x, upstream = torch.randn(shape), torch.randn(shape)
        x[0, :, 0, 0] += 5
        assert_as_in_float64(layer.train(training), x, upstream, tolerance=1e-4)


def test_a_mean_far_from_zero_costs_no_precision(library):
    x = 1000 + torch.randn(8, 4, 60, 60)
    layer, twin = randomized(4), nn.BatchNorm2d(4)
    layer.running_var.fill_(1)
    layer(x), twin.double()(x.double())
    torch.testing.assert_close(layer.running_var.double(), twin.running_var, rtol=1e-6, atol=0)


def test_numbers_that_are_not_finite_stay_in_their_channel(library):
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    with torch.no_grad():
        x[1, 1, 2, 2] = torch.nan
    y = NBN(3)(x)
    y.sum().backward()
    for tensor in y, x.grad:
        assert tensor.isnan().any((0, 2, 3)).tolist() == [False, True, False]


@needs_library
def test_a_network_trains_as_without_it_and_the_same_every_time():
    torch.manual_seed(0)
    model = nn.Sequential(NBN(6), nn.ReLU(), nn.Conv2d(6, 6, 3), NBN(6, momentum=None))
    share_magnitude([model[0], model[3]])

    def trained(model):
        generator = torch.Generator().manual_seed(0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            x = torch.randn(4, 6, 9, 9, generator=generator)
            optimizer.zero_grad()
            model(x).sin().mean().backward()
            optimizer.step()
        return model.eval()(x), *model.state_dict().values()

    ours, again = trained(copy.deepcopy(model)), trained(copy.deepcopy(model))
    with patch.object(native, "library", lambda: None):
        theirs = trained(copy.deepcopy(model))
    for one, other, plain in zip(ours, again, theirs, strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, plain, rtol=1e-5, atol=1e-5)


@needs_library
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("separate", [True, False])
def test_its_gradients_can_be_differentiated_again(training, separate):
    layer = randomized(3, separate_magnitudes=separate).train(training)
    x = torch.randn(2, 3, 4, 4)

    def second_gradients(layer, x):
        x = x.detach().requires_grad_()
        inputs = [x, *layer.parameters()]
        first = torch.autograd.grad(layer(x).sin().sum(), inputs, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), inputs)

    expected = second_gradients(copy.deepcopy(layer).double(), x.double())
    for ours, other in zip(second_gradients(layer, x), expected, strict=True):
        torch.testing.assert_close(ours.double(), other, rtol=1e-3, atol=1e-3)


@needs_library
def test_frozen_parts_expanded_gradients_and_checkpointing_are_as_with_batch_norm():
    x, layer = torch.randn(2, 4, 5, 5), randomized(4)
    layer._parameters["bias"].requires_grad_(False)
    layer(x).sum().backward()  # no gradient of x, and an upstream of stride 0
    assert layer._parameters["bias"].grad is None
    expected = layer._parameters["weight"].grad.clone()
    layer.zero_grad()
    x.requires_grad_()
    checkpoint(layer, x, use_reentrant=False).sum().backward()
    assert torch.equal(layer._parameters["weight"].grad, expected)
    assert layer.num_batches_tracked == 3


@needs_library
def test_the_code_is_used_for_float32_images_on_a_cpu_and_else_torchs_operations():
    def takes(x, **options):
        layer = NBN(x.shape[1], dtype=x.dtype, **options)
        with patch.object(native_nbn, "call_over", side_effect=ZeroDivisionError):
            try:
                layer(x)
            except ZeroDivisionError:
                return True
        return False

    image = torch.randn(2, 3, 4, 4)
    assert takes(image) and takes(image[:1, :, :1, :2].contiguous())
    assert not takes(image.double())
    assert not takes(image.bfloat16())
    assert not takes(image.to(memory_format=torch.channels_last))
    assert not takes(image[:, :1])
    assert not takes(image[:, :, :1, :1])
    assert not takes(image[:0])
    with patch.object(native, "library", lambda: None):
        assert not takes(image)
    assert not takes(image, official=True)
    assert not takes(image, normalize=False)


@needs_library
def test_stored_statistics_of_another_type_are_left_to_batch_norm_which_refuses_them():
    layer = NBN(3).bfloat16()
    for name, parameter in layer._parameters.items():
        layer._parameters[name] = nn.Parameter(parameter.float())
    with pytest.raises(RuntimeError, match="Float"):
        layer.eval()(torch.randn(2, 3, 4, 4))


def squared(layer):
    return lambda x: layer(x).square().sum()


@needs_library
def test_tracers_and_other_derivatives_see_torchs_operations():
    layer, x = randomized(3).eval(), torch.randn(2, 3, 4, 4)
    expected = layer(x)
    graph = torch.jit.trace(layer, x).inlined_graph
    assert "aten::batch_norm" in str(graph)
    to_x = torch.func.grad(squared(layer))(x)
    x.requires_grad_()
    squared(layer)(x).backward()
    torch.testing.assert_close(to_x, x.grad)
    x = x.detach()
    torch.testing.assert_close(torch.func.vmap(layer)(x[:, None])[:, 0], expected)
    _, along = torch.func.jvp(squared(layer), (x,), (x,))
    torch.testing.assert_close(along, (to_x * x).sum())
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, x)
        y = torch.autograd.forward_ad.unpack_dual(squared(layer)(dual))
    torch.testing.assert_close(y.tangent, along)
