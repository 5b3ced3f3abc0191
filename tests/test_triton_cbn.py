"""The Triton kernels compute what the matrix products do: interpreted, and on a GPU compiled."""

import functools
import os
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from cbn_mixtures import WAYS, assert_mixtures_close, drawn_mixture, mixture_results
from cbn_passes import poisoned
from cbn_precision import LAYERS as FAR_LAYERS
from cbn_precision import assert_as_precise_as_batch_norm, errors
from cbn_reference import cbn_reference
from triton_processes import compiling_for_an_absent_gpu, interpreted_results

from mmdet_ltnorm.norms import CBN, cbn, split_by
from mmdet_ltnorm.norms.backends.chooser import mixture_backend
from mmdet_ltnorm.norms.backends.composed import Composed
from mmdet_ltnorm.norms.backends.gpu.availability import has_triton
from mmdet_ltnorm.norms.backends.plain import components as plain_components
from mmdet_ltnorm.norms.backends.plain import pixels as plain_pixels

pytest.importorskip("triton", minversion="3.3")

# Several programs that go through several tiles each, with the sums by pixels and by channels.
SMALL = dict(TILE=1024, RUN_BYTES=0, MANY=3)
BY_PIXELS = SMALL | dict(FEW=1, SHARE_OF_SUMS=1.0)
BY_CHANNELS = SMALL | dict(FEW=1000)
# Shape, components, dtype, channels-last, other arguments, and other sizes of launches.
CASES = {
    "few": ((3, 5, 4, 3), 3, torch.float32, False, {}, {}),
    "float64": ((3, 5, 4, 3), 3, torch.float64, True, dict(kept=0.2), {}),
    "one component": ((2, 3, 9), 1, torch.float32, False, {}, {}),
    "one channel": ((4, 1, 5, 5), 2, torch.float32, True, {}, {}),
    "no image": ((70, 6), 2, torch.float32, False, {}, {}),
    "one pixel": ((1, 6), 2, torch.float64, False, {}, {}),
    "few pixels for each": ((3, 5), 5, torch.float64, False, dict(kept=0.5), {}),
    "a volume": ((2, 6, 2, 3, 4), 4, torch.bfloat16, False, {}, {}),
    "eight components": ((2, 35, 3, 3), 8, torch.float16, False, {}, {}),
    "eight components, channels last": ((2, 35, 3, 3), 8, torch.bfloat16, True, {}, {}),
    "several channels' tiles": ((2, 300, 2, 2), 3, torch.float64, False, {}, {}),
    "several tiles": ((3, 19, 9, 7), 3, torch.float32, False, {}, BY_PIXELS),
    "several tiles, channels last": ((2, 70, 7, 5), 2, torch.float32, True, {}, BY_PIXELS),
    "several tiles in half precision": ((2, 19, 9, 7), 2, torch.bfloat16, True, {}, BY_PIXELS),
    "by channels": ((3, 19, 9, 7), 3, torch.float32, False, {}, BY_CHANNELS),
    "by channels, channels last": ((2, 70, 7, 5), 2, torch.float32, True, {}, BY_CHANNELS),
}
LAYERS = {
    "compound": dict(),
    "split": dict(split=True),
    "literal": dict(literal=True),
}


@contextmanager
def launched_with(sizes):
    from mmdet_ltnorm.norms.backends.gpu import launches

    launches.launches.cache_clear()
    with patch.dict(vars(launches), sizes):
        yield
    launches.launches.cache_clear()


def from_kernels(drawn, way, sizes, **options):
    """Return the kernels' results, in tensors that were NaN before."""
    from mmdet_ltnorm.norms.backends.gpu import mixture

    with (
        launched_with(sizes),
        patch.object(torch, "empty", poisoned(torch.empty)),
        patch.object(torch, "empty_like", poisoned(torch.empty_like)),
        patch.object(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty)),
    ):
        return mixture_results(mixture, drawn, way, **options)


def layer_and_input(split=False, device="cpu", **options):
    layer = CBN(6, num_components=3, device=device, dtype=torch.float64, **options)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    layer.running_mean.normal_()
    x = torch.randn(9, 6, 5, 3, device=device, dtype=torch.float64, requires_grad=True)
    return layer, x, torch.arange(9, device=device) if split else None


def trained_once(layer, x, labels):
    """Return the output, the gradients and the statistics of a training step."""
    if labels is None:
        y = layer(x)
    else:
        with split_by(labels, 3, "modulo"):
            y = layer(x)
    gradients = torch.autograd.grad((y * y.cos()).sum(), (x, layer.weight, layer.bias))
    return y.detach(), *gradients, layer.running_mean, layer.running_var, layer.prior


def reference(layer, x, labels):
    """Return the output, the gradients and the statistics by the obvious code."""
    state = layer.running_mean.clone(), layer.running_var.clone(), layer.prior.clone()
    groups = None if labels is None else labels % 3
    y, state = cbn_reference(x, layer.weight, layer.bias, state, layer, groups)
    gradients = torch.autograd.grad((y * y.cos()).sum(), (x, layer.weight, layer.bias))
    return y.detach(), *gradients, *state


@contextmanager
def on_kernels():
    """Let layers run on Triton's kernels wherever their input is."""
    from mmdet_ltnorm.norms.backends.gpu import mixture

    with patch.object(cbn, "mixture_backend", lambda *_: mixture):
        yield


def of_cases(path):
    torch.manual_seed(0)
    found = {}
    for name, (*case, options, sizes) in CASES.items():
        arguments = drawn_mixture(*case, **options)
        found[name] = vars(arguments), {way: from_kernels(arguments, way, sizes) for way in WAYS}
    torch.save(found, path)


def of_other_ways(path):
    from mmdet_ltnorm.norms.backends.gpu import mixture

    torch.manual_seed(0)
    arguments = drawn_mixture((3, 19, 9, 7), 3, torch.float32)
    later = {way: from_kernels(arguments, way, {}, learns_later=True) for way in WAYS}
    with patch.object(mixture, "there_are_other_ranks", lambda: True):  # of which none adds
        ranks = {way: from_kernels(arguments, way, BY_CHANNELS) for way in WAYS}
    torch.save({"later": (vars(arguments), later), "ranks": (vars(arguments), ranks)}, path)


def of_broken_pixels(path):
    torch.manual_seed(0)
    arguments = drawn_mixture((2, 300, 2, 3), 3, torch.float32, broken=True)
    torch.save([vars(arguments), from_kernels(arguments, "compound", {})], path)


def of_layers(path):
    torch.manual_seed(0)
    found = {}
    for name, options in LAYERS.items():
        case = layer_and_input(**options)
        expected = reference(*case)
        with on_kernels():
            found[name] = trained_once(*case), expected
    torch.save(found, path)


def of_far_layers(path):
    with on_kernels():
        found = {name: errors(1e4, samples=4, **options) for name, options in FAR_LAYERS.items()}
    torch.save(found, path)


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """The results that one of the functions above saves; each runs once, when a test needs it."""

    @functools.cache
    def saved_by(function):
        return interpreted_results(function, tmp_path_factory.mktemp("interpreter"))

    return saved_by


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_interpreted_kernels_compute_what_the_matrix_products_do(interpreted, name, way):
    arguments, ours = interpreted(of_cases)[name]
    assert_mixtures_close(ours[way], SimpleNamespace(**arguments), way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["later", "ranks"])
def test_interpreted_kernels_do_so_where_they_learn_later_and_for_other_ranks(
    interpreted, name, way
):
    arguments, ours = interpreted(of_other_ways)[name]
    assert_mixtures_close(ours[way], SimpleNamespace(**arguments), way)


def test_pixels_that_are_not_finite_make_the_output_nan_and_move_nothing_stored(interpreted):
    arguments, ours = interpreted(of_broken_pixels)
    assert ours["y"].isnan().all()
    assert ours["counts"].tolist() == [0, 1]
    for name, before in zip(("mean", "var", "prior"), arguments["stored"], strict=True):
        assert torch.equal(ours[name], before), name


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_on_interpreted_kernels_equals_the_obvious_code(interpreted, name):
    ours, expected = interpreted(of_layers)[name]
    for result, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(result, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FAR_LAYERS)
def test_interpreted_kernels_are_as_precise_as_batch_norm_far_from_zero(interpreted, name):
    assert_as_precise_as_batch_norm(interpreted(of_far_layers)[name])


# One of each type, memory format and way to the sums.
COMPILED = ("float64", "eight components", "several tiles in half precision", "by channels")


def compiled(_, path):
    from mmdet_ltnorm.norms.backends.gpu import mixture

    with compiling_for_an_absent_gpu() as names:
        for *case, options, sizes in map(CASES.get, COMPILED):
            arguments = drawn_mixture(*case, **options)
            for way in WAYS:
                with launched_with(sizes):
                    mixture_results(mixture, arguments, way, learns_later=True)
    torch.save(names, path)


@pytest.mark.slow
def test_kernels_compile_for_a_gpu_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    torch.multiprocessing.spawn(compiled, (tmp_path / "names.pt",), nprocs=1)
    names = torch.load(tmp_path / "names.pt")
    forward, backward = (
        ["expectation", "finish", "mix"],
        ["gradient_sums", "finish_gradient", "mix"],
    )
    trained = [*forward, *backward, "move"]
    assert names == len(COMPILED) * [*trained, *trained, *forward, *backward]


def test_matrix_products_are_for_the_cpu_for_many_components_and_without_triton(monkeypatch):
    from mmdet_ltnorm.norms.backends.gpu import mixture

    on_gpu, empty = SimpleNamespace(is_cuda=True, numel=lambda: 9), torch.empty(0, 3)
    plain = Composed(plain_pixels, plain_components)
    assert mixture_backend(on_gpu, torch.ones(8, 3)) == mixture
    assert isinstance(mixture_backend(torch.ones(2, 3), torch.ones(8, 3)), Composed)
    for x, statistics in (
        (on_gpu, torch.ones(9, 3)),
        (on_gpu, torch.ones(3, 8).t()),
        (empty, torch.ones(2, 3)),
    ):
        assert mixture_backend(x, statistics) == plain
    for module in (None, SimpleNamespace(__version__="3.2.0")):
        monkeypatch.setitem(os.sys.modules, "triton", module)
        has_triton.cache_clear()
        assert mixture_backend(on_gpu, torch.ones(8, 3)) == plain
    has_triton.cache_clear()


# On a GPU, compiled


GPU_CASES = CASES | {
    "larger than a cache": ((64, 256, 30, 31), 4, torch.bfloat16, False, {}, {}),
    "many channels": ((16, 2048, 7, 7), 8, torch.float32, False, {}, {}),
    "many channels, channels last": ((16, 2048, 7, 7), 4, torch.float16, True, {}, {}),
    "many pixels, channels last": ((64, 64, 32, 32), 4, torch.float32, True, {}, {}),
}


def on_a_gpu(value):
    if isinstance(value, tuple):
        return tuple(map(on_a_gpu, value))
    return value.cuda() if isinstance(value, torch.Tensor) else value


@pytest.mark.gpu
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", GPU_CASES)
def test_compiled_kernels_compute_what_the_matrix_products_do_twice_alike(name, way):
    torch.seed()
    *case, options, sizes = GPU_CASES[name]
    drawn = drawn_mixture(*case, **options)
    drawn = SimpleNamespace(**{key: on_a_gpu(value) for key, value in vars(drawn).items()})
    ours, again = (from_kernels(drawn, way, sizes) for _ in range(2))
    assert_mixtures_close(ours, drawn, way)
    for result, other in zip(ours.values(), again.values(), strict=True):
        assert torch.equal(result, other)


@pytest.mark.gpu
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_on_the_gpu_equals_the_obvious_code(name):
    torch.seed()
    case = layer_and_input(device="cuda", **LAYERS[name])
    expected = reference(*case)
    with patch.object(plain_pixels, "expectation", side_effect=AssertionError("not the kernels")):
        ours = trained_once(*case)
    for result, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(result, other, rtol=1e-9, atol=1e-9)
