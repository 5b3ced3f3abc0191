"""Random arguments for the arithmetic on components, and a backend's results for them."""

from types import SimpleNamespace

import torch

from mmdet_ltnorm.norms.backends.interface import Components, Learning, Rule


def drawn_matrices(components, channels, dtype, pixels=100.0, kept=0.0, broken=False, device="cpu"):
    """Return arguments; the sums count ``pixels``, none of which belongs to the last component.

    If ``broken``, one sum of the first component is NaN.
    """

    def normal(*size):
        return torch.randn(size, dtype=dtype, device=device)

    shape = components, channels
    var, share = normal(*shape).exp(), normal(components).softmax(0)
    share[-1] *= components == 1
    mean, spread = normal(*shape).double(), normal(*shape).double().exp()
    zeroth = pixels * share.double()[:, None] / share.double().sum()
    sums = torch.cat([zeroth, zeroth * mean, zeroth * (mean.square() + spread)], dim=1)
    if broken:
        sums[0, channels // 2] = torch.nan
    return SimpleNamespace(
        stored=Components(normal(*shape), var, share),
        centre=normal(channels),
        rule=Rule(1e-5, channels**0.5, 0.1, kept, True),
        weight=normal(*shape),
        bias=normal(*shape),
        sums=sums,
        gradients=(normal(*shape), normal(*shape)),
        dtype=dtype,
    )


def matrix_results(module, drawn):
    """Return the result of each function of a backend for the arguments."""
    stored, rule = drawn.stored, drawn.rule
    names = ("const", "linear", "square")
    joint = module.log_joint(stored, drawn.centre, rule, drawn.dtype)
    found = dict(zip(names, joint, strict=True))
    for split in (False, True):
        rule = rule._replace(shrinkage=0.0 if split else rule.shrinkage)
        args = drawn.weight, drawn.bias, drawn.sums, stored, drawn.centre, rule, split, drawn.dtype
        tables = module.affine_of_batch(*args)
        running = Components(*(each.clone() for each in stored))
        not_finite = torch.zeros((), dtype=torch.int64, device=drawn.sums.device)
        learning = Learning(0.1, True, not_finite, not_finite, not_finite)
        module.move(running, tables, learning, split)
        found[f"not finite {split}"] = not_finite
        to_sums = module.sums_gradient(*drawn.gradients, tables, rule)
        for part in (tables.used(), tables.moments()):
            found |= {f"{type(part).__name__}.{k} {split}": v for k, v in part._asdict().items()}
        found |= {f"running.{k} {split}": v for k, v in running._asdict().items()}
        found[f"to_sums {split}"] = torch.stack(to_sums)
    return found


def assert_matrices_close(ours, theirs, broken=False):
    """Compare all results, or where they are broken what is left of the stored statistics."""
    assert all(theirs[f"not finite {split}"] == broken for split in (False, True))
    for key, expected in theirs.items():
        if broken and not key.startswith(("running", "not finite")):
            continue
        assert expected.isfinite().all(), key
        tolerance = 1e-10 if expected.dtype == torch.float64 else 1e-5
        torch.testing.assert_close(
            ours[key],
            expected,
            rtol=tolerance,
            atol=tolerance,
            msg=lambda m, key=key: f"{key}: {m}",
        )
