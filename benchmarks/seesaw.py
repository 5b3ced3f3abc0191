"""Time of LTSeesawLoss and of mmdet's SeesawLoss, forward and backward, side by side.

Scores and labels are like those of a step on LVIS: a quarter of the RoIs are positive, and a class
is drawn in proportion to 1 / rank. Run: python benchmarks/seesaw.py
"""

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from mmdet.models.losses import SeesawLoss
from torch import nn

from mmdet_ltnorm.benchmark import keep_freed_memory, machine, ratios, timed
from mmdet_ltnorm.losses.seesaw import LTSeesawLoss
from mmdet_ltnorm.results.tables import markdown_table


def training_step(loss: nn.Module, cls_score: torch.Tensor, draw: Callable) -> None:
    """Run forward and backward on fresh labels."""
    losses = loss(cls_score, draw(), avg_factor=float(len(cls_score)))
    sum(losses.values()).backward()
    cls_score.grad = None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rois", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=1203)
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    keep_freed_memory()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    frequency = 1 / torch.arange(1.0, args.classes + 1, device=device)

    def draw() -> torch.Tensor:
        positive = frequency.multinomial(args.rois // 4, replacement=True)
        background = positive.new_full((args.rois - len(positive),), args.classes)
        return torch.cat([positive, background])

    cls_score = torch.randn(args.rois, args.classes + 2, device=device, requires_grad=True)
    losses = [kind(num_classes=args.classes).to(device) for kind in (SeesawLoss, LTSeesawLoss)]
    for loss in losses:
        loss.cum_samples[:-1] = (1e6 * frequency).round()
    steps = [partial(training_step, loss, cls_score, draw) for loss in losses]
    theirs, ours = timed(steps, args.rounds)
    print(f"{machine()}; {args.rois} RoIs x {args.classes} classes, {args.rounds} rounds")
    rows = [["mmdet's SeesawLoss", f"{1e3 * median(theirs):.2f}", ""]]
    rows += [["LTSeesawLoss", f"{1e3 * median(ours):.2f}", ratios(theirs, ours)]]
    print("\n" + markdown_table(["", "ms", "times as fast"], rows))


if __name__ == "__main__":
    main()
