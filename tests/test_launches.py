"""How many kernels a GPU runs for our norms, and how large their partial sums are.

Nothing runs: launches are counted, and what torch's operations would do beside them.
"""

from contextlib import nullcontext
from functools import partial
from itertools import product
from math import prod
from unittest.mock import patch

import pytest
import torch
from operation_counts import ALLOCATIONS, VIEWS, Operations, launched
from torch import nn

from mmdet_ltnorm.norms import CBN, NBN, cbn, nbn, split_into

pytest.importorskip("triton", minversion="3.3")

# The layers of benchmarks/norms.py.
SHAPES = [
    (64, 64, 32, 32),
    (64, 256, 16, 16),
    (16, 256, 56, 56),
    (16, 2048, 7, 7),
    (2, 2048, 25, 42),
    (4, 512, 25, 42),
    (128, 64, 8, 8),
    (8, 64, 128, 128),
    (64, 64, 112, 112),
    (64, 256, 56, 56),
    (256, 512, 28, 28),
    (256, 2048, 7, 7),
]
FEW_PIXELS = SHAPES[-1:]


def placed_layer(**options):
    """A layer that has met its first batch: then it places its components, once."""
    layer = CBN(8, **options)
    layer._placed = True
    return layer


def work_of(run):
    """Return the names of the kernels and of torch's operations on the device, and allocations."""
    from mmdet_ltnorm.norms.backends.gpu import mixture
    from mmdet_ltnorm.norms.backends.gpu import nbn as gpu_nbn

    cbns = patch.object(cbn, "mixture_backend", lambda *_: mixture)
    nbns = patch.object(nbn, "nbn_backend", lambda *_: gpu_nbn)
    with cbns, nbns, launched() as kernels, Operations() as operations:
        result = run()
    others = {name for name in operations.names if name not in VIEWS | ALLOCATIONS}
    return result, kernels, others, sum(operations.names[name] for name in ALLOCATIONS)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [dict(), dict(literal=True, num_components=3)])
def test_a_training_step_is_three_kernels_forward_three_backward_and_no_other_operation(
    split, memory_format, dtype, options
):
    layer = placed_layer(**options)
    x = torch.randn(6, 8, 9, 9).to(dtype, memory_format=memory_format).requires_grad_()
    groups, components = torch.arange(6) % layer.num_components, layer.num_components
    with split_into(groups, components) if split else nullcontext():
        y, forward, others, allocations = work_of(lambda: layer(x))
    assert forward == ["expectation", "finish", "mix"]
    assert not others and allocations <= 9
    assert {type(y.grad_fn).__name__} == {"MixtureNormBackward"}
    assert y.grad_fn.next_functions[0][0].name() == "torch::autograd::AccumulateGrad"
    upstream = torch.ones_like(y)
    _, backward, others, allocations = work_of(lambda: y.backward(upstream))
    assert backward == ["gradient_sums", "finish_gradient", "mix"]
    assert not others and allocations <= 5


def test_evaluation_is_three_kernels_and_no_other_operation():
    layer, x = placed_layer().eval(), torch.randn(6, 8, 9, 9)
    _, kernels, others, allocations = work_of(lambda: layer(x))
    assert kernels == ["expectation", "finish", "mix"]
    assert not others and allocations <= 5


def test_an_input_that_needs_no_gradient_costs_no_kernel():
    y = work_of(lambda: placed_layer()(torch.randn(6, 8, 9, 9)))[0]
    assert work_of(lambda: y.sum().backward())[1] == ["gradient_sums", "finish_gradient"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [dict(), dict(separate_magnitudes=True)])
def test_nbn_is_two_kernels_more_than_batch_norm_in_one_node(options, training):
    upstream, work = torch.randn(6, 8, 9, 9), []
    for layer in (nn.BatchNorm2d(8), NBN(8, **options)):
        layer.train(training)
        x = torch.randn(6, 8, 9, 9, requires_grad=True)
        y, forward, others, _ = work_of(partial(layer, x))
        assert {edge[0].name() for edge in y.grad_fn.next_functions if edge[0]} == {
            "torch::autograd::AccumulateGrad"
        }
        _, backward, more, _ = work_of(partial(y.backward, upstream))
        work.append((others, more, forward, backward))
    (*theirs, _, _), (*ours, forward, backward) = work
    assert ours == theirs
    assert (forward, backward) == (["rescale"], ["rescale_backward"])


@pytest.mark.parametrize("shape", SHAPES)
def test_partial_sums_are_two_hundredths_of_the_input_at_most(shape):
    from mmdet_ltnorm.norms.backends.gpu.launches import launches

    channels, total = shape[1], prod(shape) // shape[1]
    for last, itemsize, components in product((False, True), (2, 4), (1, 2, 4, 8)):
        found = launches(shape, last, itemsize, components, ranks=False)
        row, size = 2 * components * channels * 4, prod(shape) * itemsize
        rows = found.programs if found.by_pixels else 0
        # Of large inputs of few pixels, more sums take less time than another pass.
        share = 0.4 if shape in FEW_PIXELS else 0.02
        assert max(rows, 1) * row <= max(share * size, row)
        assert found.sums_grid[0] * row <= max(0.02 * size, row)
        # The programs' tiles are all of the input.
        run, mixed = found.expectation["SHARE"], found.mix
        assert found.programs * run <= total + run
        assert found.mix_grid[0] * mixed["PIXELS"] >= total
        assert found.mix_grid[1] * mixed["CHANNELS"] >= channels
        assert found.sums_grid[1] * found.sums["CHANNELS"] >= channels


@pytest.mark.parametrize("channels_last", [False, True])
def test_sixteen_bytes_are_read_at_once_where_rows_allow_it(channels_last):
    from mmdet_ltnorm.norms.backends.gpu.launches import launches

    for itemsize, numbers in ((2, 8), (4, 4)):
        assert launches((4, 64, 8, 8), channels_last, itemsize, 4, False).mix["ROW"] == numbers
