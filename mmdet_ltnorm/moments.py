"""Exact mean and deviation of channels over a data set, merged from its parts."""

from typing import NamedTuple

import torch
from mmengine.dist import all_gather
from torch import Tensor


class Moments(NamedTuple):
    """Samples, mean and sum of squared deviations of C channels in G groups of samples.

    All float64: ``count`` (G, 1), ``mean`` and ``squares`` (G, C).
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    @classmethod
    def empty(cls, groups: int, channels: int, device: torch.device | str = "cpu") -> "Moments":
        """Return the moments of no samples."""
        zeros = torch.zeros(groups, channels, dtype=torch.float64, device=device)
        return cls(zeros[:, :1].clone(), zeros, zeros.clone())

    @classmethod
    def of(cls, rows: Tensor, group: Tensor | None = None, groups: int = 1) -> "Moments":
        """Return the moments of rows (N, C) by groups (N,) in 0..G-1; by default one group."""
        parts = []
        for index in range(groups):
            # Rows that are picked wait for a GPU, which a training step must not.
            own = (rows if group is None else rows[group == index]).double()
            mean = own.sum(0) / max(len(own), 1)
            parts.append((own.new_full((1,), len(own)), mean, (own - mean).square().sum(0)))
        return cls(*map(torch.stack, zip(*parts, strict=True)))

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of the samples of both parts."""
        return _joined(*map(torch.stack, zip(self, other, strict=True)))

    def over_groups(self) -> "Moments":
        """Return the moments of all samples as one group."""
        return Moments(*(tensor[None] for tensor in _joined(*self)))

    def over_ranks(self) -> "Moments":
        """Return the moments of all ranks' samples; every rank must call this."""
        return _joined(*(torch.stack(all_gather(tensor)) for tensor in self))

    @property
    def std(self) -> Tensor:
        """Standard deviation of each channel (1/N), NaN in an empty group."""
        return (self.squares / self.count).sqrt()


def _joined(count: Tensor, mean: Tensor, squares: Tensor) -> Moments:
    r"""Join the parts along the first dimension (Chan, Golub and LeVeque 1983).

    .. math:: \bar x = \frac{1}{n} \sum_i n_i \bar x_i, \qquad
              S = \sum_i S_i + n_i (\bar x_i - \bar x)^2
    """
    total = count.sum(0)
    joint = (count * mean).sum(0) / total.clamp_min(1)
    return Moments(total, joint, squares.sum(0) + (count * (mean - joint).square()).sum(0))
