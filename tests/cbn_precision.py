"""Errors of a CBN layer in float32 on pixels far from zero, and batch norm's on the same pixels."""

from contextlib import nullcontext

import torch
from cbn_reference import cbn_reference
from torch import nn

from mmdet_ltnorm.norms import CBN, split_by

# The deviation of the pixels is about 1.
FAR = (1e2, 1e3, 1e4, 1e5)
LAYERS = {
    "one component": dict(num_components=1),
    "compound": dict(),
    "split": dict(split=True),
    "literal": dict(literal=True),
}
# Of the largest number; rounding once is 6e-8.
ROUNDING = 1e-6


def errors(far, split=False, num_components=4, samples=16, **options):
    """Return the errors of the output and of each gradient, CBN's and batch norm's, by name.

    An error is the largest difference to float64, over the largest absolute value there.
    """
    torch.manual_seed(0)
    layer = CBN(8, num_components=num_components, **options)
    nn.init.uniform_(layer.weight, 0.5, 2), nn.init.normal_(layer.bias)
    with torch.no_grad():
        layer.running_mean.normal_(far, 0.5)
        layer.running_var.uniform_(0.5, 2)
    x, upstream = torch.randn(2, samples, 8, 7, 6)
    x[::2] += 1
    x += far
    labels = torch.arange(samples) % num_components
    state = [getattr(layer, name).double() for name in ("running_mean", "running_var", "prior")]
    wide = [parameter.detach().double().requires_grad_() for parameter in layer.parameters()]

    def reference(pixels):
        return cbn_reference(pixels, *wide, state, layer, labels if split else None)[0]

    expected = _outcome(reference, x.double(), upstream.double(), wide)
    with split_by(labels, num_components, "modulo") if split else nullcontext():
        ours = _outcome(layer, x, upstream, list(layer.parameters()))
    norm = nn.BatchNorm2d(8)
    norm.load_state_dict({n: layer.state_dict()[n][0] for n in ("weight", "bias")}, strict=False)
    theirs = _outcome(norm, x, upstream, list(norm.parameters()))
    norm.double()
    right = _outcome(norm, x.double(), upstream.double(), list(norm.parameters()))
    names = ("output", "input's gradient", "weight's gradient", "bias's gradient")
    return {
        name: (_error(mine, true), _error(host, host_true))
        for name, mine, true, host, host_true in zip(
            names, ours, expected, theirs, right, strict=True
        )
    }


def _outcome(run, x, upstream, parameters):
    x = x.clone().requires_grad_()
    y = run(x)
    return [y.detach(), *torch.autograd.grad(y, [x, *parameters], upstream)]


def _error(found, true):
    return ((found.double() - true).abs().max() / true.abs().max()).item()


def assert_as_precise_as_batch_norm(found):
    for name, (ours, theirs) in found.items():
        assert ours <= max(theirs, ROUNDING), f"{name}: {ours:.1e}, batch norm {theirs:.1e}"
