"""Time and memory of our norms over batch norm, forward and backward, measured side by side.

python benchmarks/norms.py                      # the layers
python benchmarks/norms.py --layers CBN --obvious   # CBN beside the code one would write first
python benchmarks/norms.py --classifier --detector  # and rectified logits, and training steps

On a GPU there are also larger inputs, bfloat16 and channels-last. "of a copy" compares the passes
with a copy of the input: forward and backward (batch norm's, too) have to read or write the input's
size eight times, and the column has these bytes per second over those of ``Tensor.copy_``.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from statistics import median

import torch
from torch import nn
from training_steps import benchmark_classifiers, benchmark_detectors

import mmdet_ltnorm  # noqa: F401, registers the norms
from mmdet_ltnorm.benchmark import keep_freed_memory, machine, peak_bytes, ratios, timed
from mmdet_ltnorm.norms import CBN, NBN
from mmdet_ltnorm.predictors import RectifiedLinear

SHAPES = [
    (64, 64, 32, 32),
    (64, 256, 16, 16),
    (16, 256, 56, 56),
    (16, 2048, 7, 7),
    (2, 2048, 25, 42),
    (4, 512, 25, 42),
    (128, 64, 8, 8),
    (8, 64, 128, 128),
]
# Inputs that a GPU's cache cannot hold.
LARGE_SHAPES = [(64, 64, 112, 112), (64, 256, 56, 56), (256, 512, 28, 28), (256, 2048, 7, 7)]
PASSES = 8
COMPONENTS = (1, 2, 4, 8)
LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "NBN": NBN,
    **{f"CBN M={m}": partial(CBN, num_components=m) for m in COMPONENTS},
}


class ObviousCBN(CBN):
    """CBN as its formulas stand: every component normalizes every pixel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.movedim(1, -1).reshape(-1, 1, self.num_features)
        with torch.no_grad():
            variance = self.running_var + self.eps
            log_density = -0.5 * ((rows - self.running_mean) ** 2 / variance + variance.log())
            w = (self.prior.log() + log_density.sum(-1)).softmax(1)[:, :, None]
        each = w + self.shrinkage
        mean = (each * rows).sum(0) / each.sum(0)
        var = (each * (rows - mean) ** 2).sum(0) / each.sum(0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var, self.momentum)
            self.prior.lerp_(w.mean((0, 2)), self.momentum)
        standardized = (rows - mean) / (var + self.eps).sqrt()
        y = (w * (self.weight * standardized + self.bias)).sum(1)
        return y.view(x.movedim(1, -1).shape).movedim(-1, 1)


OBVIOUS = {f"obvious M={m}": partial(ObviousCBN, num_components=m) for m in COMPONENTS}


def layer_step(layer: nn.Module, x: torch.Tensor, upstream: torch.Tensor) -> Callable[[], None]:
    def step() -> None:
        layer(x).backward(upstream)
        x.grad = None
        layer.zero_grad()

    return step


def inputs(device: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield pairs of an input and a gradient of the layer's output."""
    cases = product(SHAPES, [torch.float32], [torch.contiguous_format])
    if device == "cuda":
        formats = [torch.contiguous_format, torch.channels_last]
        cases = product(SHAPES + LARGE_SHAPES, [torch.float32, torch.bfloat16], formats)
    for shape, dtype, memory_format in cases:
        x, upstream = (
            torch.randn(shape, device=device, dtype=dtype).to(memory_format=memory_format)
            for _ in range(2)
        )
        yield x.requires_grad_(), upstream


def described(x: torch.Tensor) -> str:
    """Return an input's shape as text, with its dtype and format if they are not the usual ones."""
    shape = "x".join(map(str, x.shape))
    half = " bf16" if x.dtype == torch.bfloat16 else ""
    return f"{shape}{half}{'' if x.is_contiguous() else ' nhwc'}"


def benchmark_layers(
    layers: dict[str, Callable[[int], nn.Module]], rounds: int, device: str
) -> None:
    print(
        f"\n| {'layer':11} | {'input':27} | {'MB':>6} | {'BN ms':>8} | {'time over BN':18} "
        f"| {'of a copy':18} | peak memory |\n|---|---|--:|--:|---|---|---|"
    )
    for x, upstream in inputs(device):
        channels, size = x.shape[1], x.numel() * x.element_size() / 2**20
        batch_norm = layer_step(nn.BatchNorm2d(channels, device=device), x, upstream)
        copy = partial(torch.empty_like(upstream).copy_, upstream)
        for name, build in layers.items():
            step = layer_step(build(channels).to(device), x, upstream)
            few = 3 if name in OBVIOUS else rounds  # the obvious code takes seconds for a step
            copied, theirs, ours = timed([copy, batch_norm, step], few)
            speed = ratios([PASSES / 2 * seconds for seconds in copied], ours)
            memory = peak_bytes(step) / peak_bytes(batch_norm)
            row = f"| {name:11} | {described(x):27} | {size:6.1f} | {1e3 * median(theirs):8.2f} |"
            print(f"{row} {ratios(ours, theirs):18} | {speed:18} | {memory:11.2f} |", flush=True)


def benchmark_rectification(rounds: int, device: str) -> None:
    """Compare logits rectification with a linear layer, for the 1,024 RoIs of two images."""
    x = torch.randn(1024, 1024, device=device, requires_grad=True)
    upstream = torch.randn(1024, 1204, device=device)
    layers = nn.Linear(1024, 1204), RectifiedLinear(1024, 1204)
    theirs, ours = timed([layer_step(layer.to(device), x, upstream) for layer in layers], rounds)
    print(f"\n- A linear layer, 1204 logits of 1024 RoIs: {1e3 * median(theirs):.2f} ms")
    print(f"  - logits rectification over it {ratios(ours, theirs)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--detector", action="store_true", help="also training steps of Mask R-CNN")
    parser.add_argument(
        "--classifier",
        action="store_true",
        help="also one of ResNet-32, on a GPU of ResNet-50, too, and logits",
    )
    parser.add_argument("--layers", default="", help="only those whose names start like this")
    parser.add_argument(
        "--obvious", action="store_true", help="also the obvious code for CBN, seconds a step"
    )
    parser.add_argument("--size", type=int, default=320, help="image size of the detector step")
    args = parser.parse_args()
    keep_freed_memory()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"{machine()}; medians of {args.rounds} rounds [quartiles]")
    layers = {name: build for name, build in LAYERS.items() if name.startswith(args.layers)}
    benchmark_layers(layers | (OBVIOUS if args.obvious else {}), args.rounds, device)
    if args.classifier:
        benchmark_rectification(args.rounds, device)
        benchmark_classifiers(args.rounds, device)
    if args.detector:
        benchmark_detectors(args.rounds, args.size, device)


if __name__ == "__main__":
    main()
