"""Mean and variance of rows that arrive in batches and on several ranks."""

import torch
from mmengine.dist import all_gather
from torch import Tensor


class Moments:
    """Exact mean and standard deviation of all rows so far, in double precision.

    Keeps the number of rows, their mean and their summed squared deviations from it. Two such
    triples merge without cancellation: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise
    Algorithm for Computing Sample Variances", 1979.
    """

    def __init__(self, columns: int) -> None:
        self.state = torch.zeros(3, columns, dtype=torch.float64)

    def update(self, rows: Tensor) -> None:
        """Take in rows (N, columns)."""
        if len(rows):
            rows = rows.detach().to("cpu", torch.float64)
            mean = rows.mean(0)
            squares = (rows - mean).square().sum(0)
            batch = torch.stack([torch.full_like(mean, len(rows)), mean, squares])
            self.state = merged(self.state, batch)

    def over_ranks(self) -> "Moments":
        """Return the moments of the rows of all ranks."""
        total = Moments(self.state.shape[1])
        for state in all_gather(self.state):
            total.state = merged(total.state, state)
        return total

    @property
    def mean(self) -> Tensor:
        """The mean of each column."""
        return self.state[1]

    @property
    def std(self) -> Tensor:
        """The standard deviation of each column, with the number of rows as its divisor."""
        return (self.state[2] / self.state[0]).sqrt()


def merged(one: Tensor, other: Tensor) -> Tensor:
    """Merge counts, means and summed squared deviations of two sets of rows, each (3, columns)."""
    count = one[0] + other[0]
    share = torch.where(count > 0, other[0] / count, 0)
    difference = other[1] - one[1]
    squares = one[2] + other[2] + difference.square() * one[0] * share
    return torch.stack([count, one[1] + difference * share, squares])
