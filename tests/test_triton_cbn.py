"""The Triton kernels compute what the matrix products do: interpreted, and on a GPU compiled."""

import functools
import os
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from cbn_matrices import assert_matrices_close, drawn_matrices, matrix_results
from cbn_passes import assert_close, drawn, poisoned, results
from cbn_precision import LAYERS as FAR_LAYERS
from cbn_precision import assert_as_precise_as_batch_norm, errors
from cbn_reference import cbn_reference
from triton_processes import compiling_for_an_absent_gpu, interpreted_results

from mmdet_ltnorm.norms import CBN, cbn, split_by
from mmdet_ltnorm.norms.backends.chooser import mixture_backend
from mmdet_ltnorm.norms.backends.gpu.availability import has_triton
from mmdet_ltnorm.norms.backends.interface import Backend
from mmdet_ltnorm.norms.backends.plain import components as plain_components
from mmdet_ltnorm.norms.backends.plain import pixels as plain_pixels

pytest.importorskip("triton", minversion="3.3")

# Shape, components, dtype, channels-last, and other sizes of tiles, which need several.
USUAL, SMALL = dict(PROGRAMS=256), dict(PROGRAMS=1, TILE=1024)
CASES = {
    "few": ((3, 5, 4, 3), 3, torch.float32, False, USUAL),
    "float64": ((3, 5, 4, 3), 3, torch.float64, True, USUAL),
    "one component": ((2, 3, 9), 1, torch.float32, False, USUAL),
    "one channel": ((4, 1, 5, 5), 2, torch.float32, True, USUAL),
    "no image": ((70, 6), 2, torch.float32, False, USUAL),
    "a volume": ((2, 6, 2, 3, 4), 4, torch.bfloat16, False, USUAL),
    "eight components": ((2, 35, 3, 3), 8, torch.float16, False, USUAL),
    "eight components, channels last": ((2, 35, 3, 3), 8, torch.bfloat16, True, USUAL),
    "several tiles": ((3, 19, 9, 7), 3, torch.float32, False, SMALL),
    "several tiles, channels last": ((2, 130, 2, 3), 2, torch.float32, True, SMALL),
    "several tiles in half precision": ((2, 19, 5, 7), 2, torch.bfloat16, True, SMALL),
}
# Components, channels, dtype, pixels, the share that stored statistics keep, and what is broken.
COMPONENTS = {
    "usual matrices": (4, 70, torch.float64, 100.0, 0.0),
    "several tiles of channels": (3, 600, torch.float64, 100.0, 0.1),
    "float32 matrices": (8, 300, torch.float32, 100.0, 0.0),
    "one component's matrices": (1, 3, torch.float64, 5.0, 0.0),
    "one pixel": (2, 5, torch.float64, 1.0, 0.0),
    "few pixels for each": (5, 5, torch.float64, 2.0, 0.5),
    "broken matrices": (3, 600, torch.float64, 100.0, 0.0, True),
}
LAYERS = {
    "compound": dict(),
    "split": dict(split=True),
    "literal": dict(literal=True),
}


def from_kernels(drawn, sizes):
    """Return the kernels' results, in tensors that were NaN before."""
    from mmdet_ltnorm.norms.backends.gpu import pixels

    with (
        patch.multiple(pixels, **sizes),
        patch.object(torch, "empty_like", poisoned(torch.empty_like)),
        patch.object(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty)),
    ):
        return results(pixels, drawn)


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
    from mmdet_ltnorm.norms.backends.gpu import components, pixels

    with patch.object(cbn, "mixture_backend", lambda *_: Backend(pixels, components)):
        yield


def of_cases(path):
    torch.manual_seed(0)
    found = {}
    for name, (*case, sizes) in CASES.items():
        arguments = drawn(*case)
        found[name] = vars(arguments), from_kernels(arguments, sizes)
    torch.save(found, path)


def of_layers(path):
    torch.manual_seed(0)
    found = {}
    for name, options in LAYERS.items():
        case = layer_and_input(**options)
        expected = reference(*case)
        with on_kernels():
            found[name] = trained_once(*case), expected
    torch.save(found, path)


def of_components(path):
    from mmdet_ltnorm.norms.backends.gpu import components

    torch.manual_seed(0)
    found = {}
    for name, case in COMPONENTS.items():
        arguments = drawn_matrices(*case)
        found[name] = (
            matrix_results(components, arguments),
            matrix_results(plain_components, arguments),
        )
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


@pytest.mark.parametrize("name", CASES)
def test_interpreted_kernels_compute_what_the_matrix_products_do(interpreted, name):
    arguments, ours = interpreted(of_cases)[name]
    assert_close(ours, SimpleNamespace(**arguments))


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_on_interpreted_kernels_equals_the_obvious_code(interpreted, name):
    ours, expected = interpreted(of_layers)[name]
    for result, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(result, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", COMPONENTS)
def test_interpreted_kernels_compute_the_components_of_the_plain_code(interpreted, name):
    ours, theirs = interpreted(of_components)[name]
    assert_matrices_close(ours, theirs, broken=name == "broken matrices")


@pytest.mark.parametrize("name", FAR_LAYERS)
def test_interpreted_kernels_are_as_precise_as_batch_norm_far_from_zero(interpreted, name):
    assert_as_precise_as_batch_norm(interpreted(of_far_layers)[name])


def compiled(_, path):
    from mmdet_ltnorm.norms.backends.gpu import components, pixels

    with compiling_for_an_absent_gpu() as names:
        for *case, sizes in CASES.values():
            with patch.multiple(pixels, **sizes):
                results(pixels, drawn(*case))
        for case in COMPONENTS.values():
            matrix_results(components, drawn_matrices(*case))
    torch.save(names, path)


@pytest.mark.slow
def test_kernels_compile_for_a_gpu_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    torch.multiprocessing.spawn(compiled, (tmp_path / "names.pt",), nprocs=1)
    names = torch.load(tmp_path / "names.pt")
    over_pixels = ["expectation", "sums", "expectation", "sums", "mix", "mix"]
    on_components = ["log_joint", *2 * ["affine_of_batch", "move", "sums_gradient"]]
    assert names == len(CASES) * over_pixels + len(COMPONENTS) * on_components


def test_matrix_products_are_for_the_cpu_for_many_components_and_without_triton(monkeypatch):
    from mmdet_ltnorm.norms.backends.gpu import components, pixels

    on_gpu, empty = SimpleNamespace(is_cuda=True, numel=lambda: 9), torch.empty(0, 3)
    plain = Backend(plain_pixels, plain_components)
    assert mixture_backend(on_gpu, torch.ones(8, 3)) == Backend(pixels, components)
    for x, number in ((torch.ones(2, 3), 8), (on_gpu, 9), (empty, 2)):
        assert mixture_backend(x, torch.ones(number, 3)) == plain
    for module in (None, SimpleNamespace(__version__="3.2.0")):
        monkeypatch.setitem(os.sys.modules, "triton", module)
        has_triton.cache_clear()
        assert mixture_backend(on_gpu, torch.ones(8, 3)) == plain
    has_triton.cache_clear()


# On a GPU, compiled


GPU_CASES = CASES | {
    "larger than a cache": ((64, 256, 30, 31), 4, torch.bfloat16, False, USUAL),
    "many channels": ((16, 2048, 7, 7), 8, torch.float32, False, USUAL),
    "many channels, channels last": ((16, 2048, 7, 7), 4, torch.float16, True, USUAL),
}


@pytest.mark.gpu
@pytest.mark.parametrize("name", GPU_CASES)
def test_compiled_kernels_compute_what_the_matrix_products_do_twice_alike(name):
    torch.seed()
    *case, sizes = GPU_CASES[name]
    arguments = drawn(*case, device="cuda")
    ours, again = (from_kernels(arguments, sizes) for _ in range(2))
    assert_close(ours, arguments)
    for result, other in zip(ours.values(), again.values(), strict=True):
        assert torch.equal(result, other)


@pytest.mark.gpu
@pytest.mark.parametrize("name", COMPONENTS)
def test_compiled_kernels_compute_the_components_of_the_plain_code(name):
    from mmdet_ltnorm.norms.backends.gpu import components

    torch.seed()
    arguments = drawn_matrices(*COMPONENTS[name], device="cuda")
    ours, theirs = (matrix_results(module, arguments) for module in (components, plain_components))
    assert_matrices_close(ours, theirs, broken=name == "broken matrices")


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
