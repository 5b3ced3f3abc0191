"""Random arguments for the passes over pixels; matrix products in float64 are their oracle."""

from types import SimpleNamespace

import torch

from mmdet_ltnorm.norms.backends import feature_map
from mmdet_ltnorm.norms.backends.plain import pixels

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 1e-3}


def drawn(shape, components, dtype, channels_last, device="cpu"):
    """Return arguments for all passes over the pixels of ``x``."""

    wide = torch.promote_types(dtype, torch.float32)

    def normal(*size):
        return torch.randn(size, dtype=wide, device=device)

    x, gradient = normal(*shape) + 3, normal(*shape)
    if channels_last:
        x, gradient = (t.to(memory_format=torch.channels_last) for t in (x, gradient))
    size = components, shape[1]
    x = x.to(dtype)
    return SimpleNamespace(
        x=x,
        centre=feature_map.centre(x),
        gradient=gradient.to(dtype),
        joint=(
            normal(components, 1),
            normal(*size) / shape[1] ** 0.5,
            -normal(*size).abs() / shape[1],
        ),
        matrices=(normal(*size), normal(*size), normal(*size)),
        groups=torch.randint(0, components, (shape[0],), device=device),
    )


def in_double(value):
    if isinstance(value, torch.Tensor):
        return value.double() if value.is_floating_point() else value
    return tuple(map(in_double, value))


def results(module, drawn):
    """Return the result of each pass of a backend for the arguments."""
    x, gradient, matrices = drawn.x, drawn.gradient, drawn.matrices
    centre = drawn.centre
    weights, sums = module.expectation(x, drawn.joint, centre, None)
    one_hot, split_sums = module.expectation(x, drawn.joint, centre, drawn.groups)
    alone, _ = module.expectation(x, drawn.joint, centre, None, summed=False)
    plain, weighted = module.gradient_sums(x, centre, gradient, weights)
    affine = matrices[:2]
    return dict(
        weights=weights,
        alone=alone,
        sums=sums,
        one_hot=one_hot,
        split_sums=split_sums,
        y=module.mixed_affine(x, centre, weights, *affine),
        plain=plain,
        weighted=weighted,
        to_x=module.input_gradient(x, centre, gradient, weights, *matrices),
    )


def poisoned(allocate):
    """Return the function that allocates, with NaN in what it returns if that can be."""

    def allocate_poison(*args, **kwargs):
        allocated = allocate(*args, **kwargs)
        return allocated.fill_(torch.nan) if allocated.is_floating_point() else allocated

    return allocate_poison


def assert_close(ours, drawn):
    """Compare with the matrix products in double precision, and look at format and dtype."""
    expected = results(pixels, SimpleNamespace(**{k: in_double(v) for k, v in vars(drawn).items()}))
    for name, result in ours.items():
        wide = name not in ("y", "to_x")
        dtype = torch.promote_types(drawn.x.dtype, torch.float32) if wide else drawn.x.dtype
        largest = expected[name].abs().max().item()
        torch.testing.assert_close(
            result.double(), expected[name], rtol=0, atol=TOLERANCE[dtype] * largest, msg=name
        )
        assert result.dtype == (torch.float64 if "sums" in name else dtype), name
    for name in ("y", "to_x"):
        assert ours[name].stride() == drawn.x.stride()
