"""Random arguments of a whole mixture, and torch's in double as the oracle of what it makes."""

from types import SimpleNamespace

import torch
from cbn_passes import TOLERANCE, in_double

from mmdet_ltnorm.norms.backends.composed import Composed
from mmdet_ltnorm.norms.backends.interface import Components, Learning, Rule
from mmdet_ltnorm.norms.backends.plain import components, pixels

PLAIN = Composed(pixels, components)
# Whether each is split and trains.
WAYS = {"compound": (False, True), "split": (True, True), "evaluation": (False, False)}
SAMPLED = 50


def drawn_mixture(shape, components, dtype, channels_last=False, kept=0.0, broken=False):
    """Return arguments; one pixel is NaN where they are ``broken``."""
    wide = torch.promote_types(dtype, torch.float32)
    x, gradient = torch.randn(2, *shape, dtype=wide) + torch.tensor([[3.0], [0.0]]).view(
        2, *[1] * len(shape)
    )
    if broken:
        x[-1, shape[1] // 2] = torch.nan
    if channels_last:
        x, gradient = (t.to(memory_format=torch.channels_last) for t in (x, gradient))
    table = components, shape[1]
    weight, bias, mean = torch.randn(3, *table, dtype=wide)
    var, prior = torch.rand(table, dtype=wide) + 0.5, torch.randn(components, dtype=wide)
    return SimpleNamespace(
        x=x.to(dtype),
        gradient=gradient.to(dtype),
        affine=(weight, bias),
        stored=(3 + mean / shape[1] ** 0.5, var, prior.softmax(0)),
        groups=torch.randint(0, components, (shape[0],)),
        rule=(1e-5, 1.5, 0.1, kept),
    )


def mixture_results(backend, drawn, way, learns_later=False):
    """Return what a backend makes of the arguments forward, backward and of what is stored."""
    (split, training), x = WAYS[way], drawn.x
    eps, temperature, shrinkage, kept = drawn.rule
    rule = Rule(eps, temperature, 0.0 if split else shrinkage, kept, training)
    stored = Components(*(each.clone() for each in drawn.stored))
    counts = torch.zeros(2, dtype=torch.int64, device=x.device)
    sample = stored.prior.new_full((SAMPLED, len(stored.prior)), -5)
    learning = Learning(0.1, True, *counts.unbind(), sample) if training else None
    given = *drawn.affine, stored, drawn.groups if split else None, rule
    y, of = backend.forward(x, *given, None if learns_later else learning)
    to_x, to_weight, to_bias = backend.backward(drawn.gradient, x, drawn.affine[0], of, rule, True)
    if training and learns_later:
        backend.learn(stored, of, learning, split)
    found = dict(y=y, to_x=to_x, to_weight=to_weight, to_bias=to_bias)
    found |= dict(weights=of.responsibilities, centre=of.centre, counts=counts, **stored._asdict())
    if not learns_later:
        found |= of.tables.used()._asdict()
    if training:
        found |= {f"batch {name}": value for name, value in of.tables.moments()._asdict().items()}
        if not learns_later:
            found |= dict(start=of.start, sample=sample)
    return found


def assert_mixtures_close(ours, drawn, way):
    """Compare with torch's mixture in double precision, and look at format and dtype."""
    arguments = {k: v if k == "rule" else in_double(v) for k, v in vars(drawn).items()}
    expected = mixture_results(PLAIN, SimpleNamespace(**arguments), way)
    if "sample" in ours and not WAYS[way][0]:
        rows, sample = ours["weights"].mT.flatten(0, 1), ours.pop("sample")
        rows = rows[:: len(rows) // SAMPLED + 1].to(sample.dtype)
        assert torch.equal(sample[: len(rows)], rows)
        assert sample[len(rows)].eq(-1).all() and sample[len(rows) + 1 :].eq(-5).all()
    for name, result in ours.items():
        other, dtype = expected[name], drawn.x.dtype
        if not result.is_floating_point():
            assert torch.equal(result, other), name
            continue
        if name not in ("y", "to_x"):
            dtype = torch.promote_types(dtype, torch.float32)
        assert result.dtype == dtype, name
        largest = max(other.abs().max().item(), 1)
        torch.testing.assert_close(
            result.double(), other, rtol=0, atol=TOLERANCE[dtype] * largest, msg=name
        )
    for name in ("y", "to_x"):
        assert ours[name].stride() == drawn.x.stride()
