"""When fused functions are left to torch's operations; how their gradients are differentiated."""

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmdet_ltnorm.norms.backends import gpu
from mmdet_ltnorm.norms.backends.fusing import differentiable_gradients, may_fuse
from mmdet_ltnorm.norms.backends.gpu.availability import has_triton


@pytest.fixture
def probe(monkeypatch):
    """A GPU and a Triton that are there, and what its first kernel does."""
    launch = SimpleNamespace(error=None)

    def run():
        if launch.error:
            raise launch.error

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__="3.4.0"))
    name = "mmdet_ltnorm.norms.backends.gpu.probe"
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(launch=run))
    monkeypatch.setattr(gpu, "probe", sys.modules[name], False)
    has_triton.cache_clear()
    yield launch
    has_triton.cache_clear()


def test_triton_is_used_if_its_first_kernel_runs(probe):
    assert has_triton()


def test_a_triton_without_a_compiler_is_warned_of_once_and_not_used(probe):
    probe.error = RuntimeError("Failed to find C compiler")
    with pytest.warns(UserWarning, match="Triton 3.4.0 cannot.*Failed to find C") as warned:
        assert not has_triton() and not has_triton()
    assert len(warned) == 1


@pytest.mark.parametrize("module", [None, SimpleNamespace(__version__="3.2.0")])
def test_no_triton_or_an_old_one_is_not_used(probe, monkeypatch, module):
    monkeypatch.setitem(sys.modules, "triton", module)
    assert not has_triton()


def test_plain_tensors_may_be_fused_and_others_not():
    class Other(torch.Tensor):
        pass

    tensor = torch.ones(2)
    assert may_fuse(tensor, nn.Parameter(tensor), None)
    assert not may_fuse(tensor, tensor.as_subclass(Other))
    assert not may_fuse(tensor, torch._subclasses.FakeTensorMode().from_tensor(tensor))


def test_gradients_of_a_function_are_those_of_autograd_and_can_be_differentiated():
    x, y = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    z = torch.randn(3, dtype=torch.float64)

    def function(x, y, z, nothing):
        return x * y * z, y.exp()

    upstream = torch.randn(2, 3, dtype=torch.float64).unbind()
    needed = (True, False, False, False)
    to_x, *others = differentiable_gradients(function, (x, y, z, None), needed, upstream)
    torch.testing.assert_close(to_x, upstream[0] * y * z)
    assert others == [None] * 3
    (again,) = torch.autograd.grad(to_x.sum(), y)
    torch.testing.assert_close(again, upstream[0] * z)
