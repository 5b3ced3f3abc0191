"""NBN's Triton kernels compute what torch's operations do: interpreted, and on a GPU compiled."""

import copy
from itertools import product
from unittest.mock import patch

import pytest
import torch
from cbn_passes import poisoned
from triton_processes import compiling_for_an_absent_gpu, interpreted_results

from mmdet_ltnorm.norms import NBN, nbn, share_magnitude
from mmdet_ltnorm.norms.backends.interface import RawAffine
from mmdet_ltnorm.norms.backends.plain.nbn import rescaled_pair

pytest.importorskip("triton", minversion="3.3")

# Channels, dtype, whether the bias has its own magnitude, and lengths of weight and bias.
CASES = {
    "usual": (70, torch.float32, False, (3, 0.5)),
    "float64": (70, torch.float64, False, (3, 0.5)),
    "two magnitudes": (5, torch.float64, True, (3, 0.5)),
    "one channel": (1, torch.float32, True, (3, 0.5)),
    "several blocks": (2100, torch.float64, False, (3, 0.5)),
    "half precision": (64, torch.bfloat16, True, (3, 0.5)),
    "short": (6, torch.float64, False, (0.009, 1e-7)),
    "at the floor and zero": (6, torch.float64, True, (0.0100001, 0)),
}
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 1e-2}


def raw_and_gradients(channels, dtype, separate, lengths, device="cpu"):
    vectors = (torch.randn(channels, dtype=dtype) for _ in lengths)
    weight, bias = (v * (length / v.norm()) for v, length in zip(vectors, lengths, strict=True))
    numbers = (torch.tensor(value, dtype=dtype) for value in (1.7, 0.6, 1.3, 0.8))
    magnitude, own, *gains = (tensor.to(device) for tensor in numbers)
    weight, bias = weight.to(device), bias.to(device)
    raw = RawAffine(weight, bias, magnitude, own if separate else None, *gains)
    return raw, [torch.randn(channels, dtype=dtype, device=device) for _ in lengths]


def computed(function, raw, gradients):
    """Return both effective vectors and the gradients of all inputs that can have one."""
    inputs = [t if t is None else t.detach().clone() for t in raw]
    wanted = [t.requires_grad_() for t in inputs[:4] if t is not None]
    outputs = function(*inputs)
    return *outputs, *torch.autograd.grad(outputs, wanted, gradients)


def from_kernels(raw, gradients):
    """Return what :func:`computed` does, by the kernels."""
    from mmdet_ltnorm.norms.backends.gpu import nbn

    with patch.object(torch, "empty_like", poisoned(torch.empty_like)):
        found = *nbn.rescaled_pair(raw), *nbn.rescaled_pair_gradient(raw, gradients)
    return [each for each in found if each is not None]


def assert_right(ours, raw, gradients):
    dtype = raw.weight.dtype
    double = [None if tensor is None else tensor.double() for tensor in raw]
    expected = computed(rescaled_pair, double, [gradient.double() for gradient in gradients])
    for result, other in zip(ours, expected, strict=True):
        assert result.dtype == dtype
        error, largest = (result.double() - other).abs().max(), other.abs().max().clamp_min(1)
        assert error <= TOLERANCE[dtype] * largest, error


def in_the_interpreter(path):
    torch.manual_seed(0)
    cases = {name: raw_and_gradients(*case) for name, case in CASES.items()}
    found = {name: (from_kernels(*case), case) for name, case in cases.items()}
    torch.save({name: (ours, tuple(raw), g) for name, (ours, (raw, g)) in found.items()}, path)


def layers_in_the_interpreter(path):
    """Save what layers on the kernels, and on torch's operations, make of a batch."""
    from mmdet_ltnorm.norms.backends.gpu import nbn as kernels
    from mmdet_ltnorm.norms.backends.plain import nbn as plain

    torch.manual_seed(0)
    found = []
    for training, again in product((True, False), repeat=2):
        layer = NBN(6, dtype=torch.float64).train(training)
        x = torch.randn(3, 6, 5, 4, dtype=torch.float64, requires_grad=True)
        for backend in (kernels, plain):
            twin = copy.deepcopy(layer)
            with patch.object(nbn, "nbn_backend", lambda *_, backend=backend: backend):
                y = twin(x)
            inputs = [x, *twin.parameters()]
            gradients = torch.autograd.grad(y.sin().sum(), inputs, create_graph=again)
            if again:
                total = sum(gradient.square().sum() for gradient in gradients)
                gradients = *gradients, *torch.autograd.grad(total, inputs)
            results = y, *gradients, twin.running_mean, twin.running_var
            found.append([result.detach() for result in results])
    torch.save(found, path)


def test_layers_on_the_kernels_train_as_on_torchs_operations(tmp_path):
    results = interpreted_results(layers_in_the_interpreter, tmp_path)
    for ours, theirs in zip(results[::2], results[1::2], strict=True):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """The results of the interpreted kernels, by name of the case."""
    return interpreted_results(in_the_interpreter, tmp_path_factory.mktemp("interpreter"))


@pytest.mark.parametrize("name", CASES)
def test_interpreted_kernels_compute_what_torchs_operations_do(interpreted, name):
    ours, raw, gradients = interpreted[name]
    assert_right(ours, RawAffine(*raw), gradients)


def compiled(_, path):
    with compiling_for_an_absent_gpu() as names:
        for case in CASES.values():
            from_kernels(*raw_and_gradients(*case))
    torch.save(names, path)


@pytest.mark.slow
def test_kernels_compile_for_a_gpu_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    torch.multiprocessing.spawn(compiled, (tmp_path / "names.pt",), nprocs=1)
    assert torch.load(tmp_path / "names.pt") == len(CASES) * ["rescale", "rescale_backward"]


# On a GPU, compiled


@pytest.mark.gpu
@pytest.mark.parametrize("name", CASES)
def test_compiled_kernels_compute_what_torchs_operations_do(name):
    torch.seed()
    raw, gradients = raw_and_gradients(*CASES[name], device="cuda")
    assert_right(from_kernels(raw, gradients), raw, gradients)


def network(device):
    model = torch.nn.Sequential(NBN(6), torch.nn.Conv2d(6, 6, 3), NBN(6)).to(device)
    share_magnitude([model[0], model[2]])
    return model


@pytest.mark.gpu
def test_a_network_on_a_gpu_launches_two_kernels_more_a_layer_and_trains_as_on_a_cpu():
    torch.seed()
    model, x = network("cuda"), torch.randn(4, 6, 9, 9, device="cuda")
    twin = network("cpu").double()
    twin.load_state_dict(model.state_dict())
    with torch.profiler.profile() as trace:
        model(x).sin().sum().backward()
    names = [event.name for event in trace.events()]
    assert sum(name == "rescale" for name in names) == 2
    assert sum(name == "rescale_backward" for name in names) == 2
    twin(x.cpu().double()).sin().sum().backward()
    for ours, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.cpu().double(), other.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
def test_gradients_on_a_gpu_can_be_differentiated_again():
    model, x = network("cuda"), torch.randn(4, 6, 9, 9, device="cuda")
    first = torch.autograd.grad(model(x).sin().sum(), [*model.parameters()], create_graph=True)
    sum(gradient.square().sum() for gradient in first).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
