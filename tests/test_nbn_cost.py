"""What NBN's vectors cost beyond batch norm, compiled and not, and that they are never stale."""

import copy
from unittest.mock import patch

import pytest
import torch
from mmengine.registry import MODELS
from operation_counts import operations
from torch import nn

from mmdet_ltnorm.norms import NBN, share_magnitude
from mmdet_ltnorm.norms.affine import stored
from mmdet_ltnorm.norms.backends.cpu import native


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_adds_few_operations_to_batch_norm_and_none_that_waits_for_the_device(training):
    x = torch.randn(2, 4, 3, 3)
    with patch.object(native, "library", lambda: None):
        counts = [operations(build(4).train(training), x) for build in (nn.BatchNorm2d, NBN)]
    (their_forward, their_backward), (forward, backward) = counts
    # For each vector: its norm, the floor, g times the gain, the quotient and the product; and a
    # detach of what backward reuses.
    assert (forward - their_forward).total() <= 12, forward
    assert (backward - their_backward).total() <= 42, backward
    # A copy to the host would end a CUDA graph.
    assert not {"_local_scalar_dense", "_to_copy", "nonzero"} & (forward | backward).keys()


@pytest.mark.skipif(not native.library(), reason="needs the C++ code")
def test_the_fused_layer_only_makes_its_results():
    forward, backward = operations(NBN(4), torch.randn(2, 4, 3, 3))
    assert forward.keys() - {"detach"} == {"add_", "empty_like", "new_empty"}
    # One of the two magnitudes' gradients is a view of both.
    assert backward.keys() - {"detach"} <= {"empty_like", "new_empty", "ones_like", "unbind"}


def network():
    backbone = dict(type="ResNetCIFAR", depth=8)
    cfg = dict(type="LTNormBackbone", backbone=backbone, norm_cfg=dict(type="NBN"), positions="all")
    return MODELS.build(cfg)


def trained_alike(backend):
    """Return a compiled and an eager network after two equal steps, and their input."""
    eager, x = network(), torch.randn(4, 3, 16, 16)
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, fullgraph=True, backend=backend)
    for _ in range(2):  # the second finds other parameters
        ours, theirs = compiled(x)[-1], eager(x)[-1]
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        ours.square().mean().backward()
        theirs.square().mean().backward()
        with torch.no_grad():
            for mine, other in zip(twin.parameters(), eager.parameters(), strict=True):
                torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-4)
                mine.sub_(0.1 * other.grad)
                other.sub_(0.1 * other.grad)
                mine.grad = other.grad = None
    return compiled.eval(), eager.eval(), x


def test_a_network_with_one_magnitude_compiles_and_trains_without_a_graph_break():
    trained_alike("aot_eager")


@pytest.mark.slow
def test_a_network_with_one_magnitude_equals_itself_through_inductor():
    compiled, eager, x = trained_alike("inductor")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x)[-1], eager(x)[-1], rtol=1e-4, atol=1e-4)


def write_in_place(model):
    with torch.no_grad():
        stored(model[0], "weight").copy_(torch.tensor([3.0, 4.0]))


def write_data(model):  # mmengine's averaged models and mmdet's mean teacher do; no version moves
    stored(model[0], "weight").data.copy_(torch.tensor([3.0, 4.0]))


def assign_data(model):
    stored(model[0], "weight").data = torch.tensor([3.0, 4.0])


def load(model):
    model.load_state_dict(model.state_dict() | {"0.weight": torch.tensor([3.0, 4.0])})


def take_a_step(model):
    raw = stored(model[0], "weight")
    raw.grad = raw.detach() - torch.tensor([3.0, 4.0])
    torch.optim.SGD([raw], lr=1).step()


def write_magnitude(model):
    write_in_place(model)
    stored(model[1], "magnitude").data.mul_(2)


@pytest.mark.parametrize(
    "change", [write_in_place, write_data, assign_data, load, take_a_step, write_magnitude]
)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_evaluation_sees_every_change_of_the_parameters(change, mode):
    model = nn.Sequential(NBN(2), NBN(2)).eval()
    share_magnitude(list(model))
    with mode():
        model(torch.randn(1, 2, 3, 3))
    change(model)
    for each in model, copy.deepcopy(model), copy.deepcopy(model).double():
        g = stored(each[1], "magnitude")
        with mode():
            x = torch.ones(1, 2, 3, 3, dtype=g.dtype)
            scale = (each[0](x) - each[0](0 * x))[0, :, 0, 0]
            expected = g * torch.tensor([0.6, 0.8], dtype=g.dtype) / (1 + each[0].eps) ** 0.5
            torch.testing.assert_close(scale, expected)
