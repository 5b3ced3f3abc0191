r"""The interface of a backend: the functions that each implementation has, and their arguments.

A layer calls :class:`NormalizedBatchNorm` or :class:`Mixture`. The mixtures of torch and of C++ are
made of two kinds of work: passes over the pixels of a feature map (B, C, ...), and arithmetic on
the M components, whose statistics and coefficients are matrices (M, C). Triton's has a kernel for
each step. :mod:`~mmdet_ltnorm.norms.mixture` has the formulas. All compute with offsets (o) from a
centre (C,), a point among the pixels, because differences of large numbers lose precision; only
what is called ``mean`` is no offset. "Wide" means float32, or the pixels' type if it is wider.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

# Below this length a vector has no direction worth learning: the map v -> v / max(|v|, floor) is
# linear there, so a zero vector gets a gradient of ordinary size. At 1e-6, as in the NBN authors'
# code, the first gradient is a million times too large and freezes the direction for the run.
DIRECTION_FLOOR = 1e-2
# The responsibilities see no smaller prior, so that a component that lost its pixels can come back.
SMALLEST_PRIOR = 1e-3
# Responsibilities below this are zero: denormal numbers would make the products ten times slower.
SMALLEST_RESPONSIBILITY = 1e-20


class RawAffine(NamedTuple):
    """NBN's raw vectors (C,) and scalars; a ``bias_magnitude`` of None means a shared magnitude."""

    weight: Tensor
    bias: Tensor
    magnitude: Tensor
    bias_magnitude: Tensor | None
    weight_gain: Tensor
    bias_gain: Tensor


class Statistics(NamedTuple):
    """The stored mean and var (C,), and whether a batch's statistics normalize instead of them.

    Then the stored ones move towards the batch's, which get the weight ``momentum``. Both are None
    in a layer that stores none.
    """

    mean: Tensor | None
    var: Tensor | None
    from_batch: bool
    momentum: float
    eps: float


class NormalizedBatchNorm(Protocol):
    """Batch norm of (B, C, ...), scaled and shifted by NBN's normalized vectors."""

    def normalized(self, x: Tensor, raw: RawAffine, statistics: Statistics) -> Tensor:
        """Return the output, of which autograd knows the gradients."""

    def forward(self, x: Tensor, raw: RawAffine, statistics: Statistics) -> tuple[Tensor, Tensor]:
        """Return the output, and the mean and inverse deviation (2, C) that normalized, wide."""

    def backward(
        self,
        gradient: Tensor,
        x: Tensor,
        raw: RawAffine,
        used: Tensor,
        from_batch: bool,
        needs_x: bool,
    ) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor | None]:
        """Return the gradients of x, if it needs one, and of the first four of ``raw``."""


class Components(NamedTuple):
    """A layer's stored statistics of its components: mean and var (M, C), prior (M,)."""

    mean: Tensor
    var: Tensor
    prior: Tensor

    def centre(self) -> Tensor:
        """Return a point among the means, (C,)."""
        return self.mean.mean(0)

    def flat(self) -> Tensor:
        """Return copies one after the other, (2 M C + M,)."""
        return torch.cat([each.flatten() for each in self])

    @classmethod
    def of_flat(cls, flat: Tensor, components: int) -> "Components":
        """Return the views of what :meth:`flat` returned."""
        matrices = flat[:-components].view(2, components, -1)
        return cls(matrices[0], matrices[1], flat[-components:])


class BatchMoments(NamedTuple):
    """The components' moments in a training batch.

    ``mean``, ``offset`` (of the mean from the centre) and ``var`` (biased) are (M, C), ``count`` is
    n_j (M, 1), ``share`` the mean responsibility (M,) and ``total`` the number of pixels; ``seen``
    (M, 1) and ``enough`` tell whether count and total suffice.
    """

    mean: Tensor
    offset: Tensor
    var: Tensor
    count: Tensor
    share: Tensor
    total: Tensor
    seen: Tensor
    enough: Tensor


class Affine(NamedTuple):
    """The affine map that normalizes an offset o: o · scale + shift.

    ``offset`` is the mean's offset and ``inverse`` 1 / sqrt(var + eps); all are (M, C).
    """

    offset: Tensor
    inverse: Tensor
    scale: Tensor
    shift: Tensor


class Rule(NamedTuple):
    """The options of CBN: the arguments of :class:`~mmdet_ltnorm.norms.CBN` of the same names.

    ``kept`` is the share of the stored statistics in those that normalize a training batch.
    """

    eps: float
    temperature: float
    shrinkage: float
    kept: float
    training: bool


class Learning(NamedTuple):
    """How a training batch moves what a layer stores, and what moves beside the statistics.

    These get the batch's with the weight ``rate``; ``unbiased`` ones store N / (N - 1) times its
    variance, as batch norm does, where N is the number of pixels of the batch or, where it is
    split, of the component's part. A batch that is split says nothing about the prior.
    ``batches`` counts those of enough pixels. ``not_finite``, an integer, becomes 1 if the batch's
    moments are not finite; those move nothing. ``sample`` (rows, M) gets the responsibilities of
    some pixels if the batch is not split, and a row of -1 after them.
    """

    rate: float
    unbiased: bool
    batches: Tensor
    not_finite: Tensor
    sample: Tensor


class MixtureTables(NamedTuple):
    """What normalizes, and a batch's moments, side by side as compiled code writes them.

    ``matrices`` (7, M, C) are the four of :class:`Affine`, then the batch's mean, offset and var;
    ``numbers`` (2 M + 1,) the counts, the shares and the total; ``flags`` (M + 1,) which components
    were seen, and whether there are enough pixels. With stored statistics there are four matrices.
    """

    matrices: Tensor
    numbers: Tensor | None = None
    flags: Tensor | None = None

    @classmethod
    def of(cls, used: Affine, moments: BatchMoments) -> "MixtureTables":
        """Return copies of what normalizes and of a batch's moments."""
        mean, offset, var, count, share, total, seen, enough = moments
        numbers = torch.cat([count[:, 0], share, total[None]])
        flags = torch.cat([seen[:, 0], enough[None]])
        return cls(torch.stack([*used, mean, offset, var]), numbers, flags)

    def used(self) -> Affine:
        """Return views of what normalizes."""
        return Affine(*self.matrices[:4].unbind())

    def moments(self) -> BatchMoments:
        """Return views of a batch's moments."""
        components = self.matrices.shape[1]
        count, share, total = self.numbers.split([components, components, 1])
        seen, enough = self.flags.split([components, 1])
        matrices = self.matrices[4:].unbind()
        return BatchMoments(*matrices, count[:, None], share, total[0], seen[:, None], enough[0])


class Pass(NamedTuple):
    """What a forward pass leaves: responsibilities (B, M, P), the centre (C,), and tables.

    ``start`` are the statistics that it began with, flat, where it moved them.
    """

    responsibilities: Tensor
    centre: Tensor
    tables: MixtureTables
    start: Tensor | None


class Mixture(Protocol):
    """Batch norm of a dense x (B, C, ...) under a mixture, forward and backward.

    Where the channels are adjacent in memory, responsibilities are (1, M, B P). In a distributed
    run sums over pixels are those of all ranks.
    """

    def forward(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        stored: Components,
        groups: Tensor | None,
        rule: Rule,
        learning: Learning | None,
    ) -> tuple[Tensor, Pass]:
        """Return the output, and what the pass leaves.

        Args:
            groups: the component of each sample, (B,), where the batch is split.
            learning: how to move the stored statistics after they were used; else they stay.
        """

    def backward(
        self, gradient: Tensor, x: Tensor, weight: Tensor, of: Pass, rule: Rule, needs_x: bool
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """Return the gradients of x, if it needs one, and of weight and bias."""

    def learn(self, stored: Components, of: Pass, learning: Learning, split: bool) -> None:
        """Move stored statistics in place towards those of a pass that has left them alone."""


Joint = tuple[Tensor, Tensor, Tensor]


class PixelPasses(Protocol):
    """Passes over the pixels of a dense x (B, C, ...), with responsibilities (B, M, P), wide.

    Where the channels are adjacent in memory, responsibilities are (1, M, B P). Coefficients are
    (M, C), wide. A pass makes no tensor as large as x except its result.
    """

    def expectation(
        self,
        x: Tensor,
        joint: Joint,
        centre: Tensor,
        groups: Tensor | None,
        summed: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        r"""Return the responsibilities, and in float64 sums over the pixels (M, 1 + 2C).

        The responsibilities are the softmax of const + linear · o + square · o² for offsets o, or
        one-hot where each sample's group (B,) is given; the sums are :math:`\sum_i w_i o_i^n`,
        n = 0, 1, 2, side by side, or None without ``summed``.
        """

    def mixed_affine(
        self, x: Tensor, centre: Tensor, weights: Tensor, scale: Tensor, shift: Tensor
    ) -> Tensor:
        """Return o · Σ w scale + Σ w shift of offsets o, in x's format and dtype."""

    def gradient_sums(
        self, x: Tensor, centre: Tensor, gradient: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return Σ w g and Σ w g · o over the pixels, (M, C) each, wide."""

    def input_gradient(
        self,
        x: Tensor,
        centre: Tensor,
        gradient: Tensor,
        weights: Tensor,
        scale: Tensor,
        first: Tensor,
        second: Tensor,
    ) -> Tensor:
        """Return g · Σ w scale + Σ w first + 2 o · Σ w second, in x's format and dtype."""


class ComponentArithmetic(Protocol):
    """Arithmetic on the statistics of M components; differences of squares are taken in float64."""

    def log_joint(
        self, stored: Components, centre: Tensor, rule: Rule, dtype: torch.dtype
    ) -> Joint:
        r"""Return const, linear and square of :math:`\log\tau_j + \log f_j(x) / T` (Eq. 9).

        It is const + linear · o + square · o², of shapes (M, 1), (M, C) and (M, C), minus the mean
        over j, which the softmax cancels: so sums over many channels stay small enough for float32.
        """

    def affine_of_stored(
        self,
        weight: Tensor,
        bias: Tensor,
        stored: Components,
        centre: Tensor,
        rule: Rule,
        dtype: torch.dtype,
    ) -> Affine:
        """Return the affine map that normalizes with the stored statistics."""

    def affine_of_batch(
        self,
        weight: Tensor,
        bias: Tensor,
        sums: Tensor,
        stored: Components,
        centre: Tensor,
        rule: Rule,
        split: bool,
        dtype: torch.dtype,
    ) -> MixtureTables:
        """Return the affine map that normalizes a training batch, and the batch's moments.

        ``sums`` are S⁰, S¹, S² of offsets side by side, (M, 1 + 2C) in float64. A component is seen
        if it has at least one pixel, including those that the shrinkage adds; in a split batch it
        needs two, as a batch does. A component with sums that are not finite is seen.
        """

    def affine_gradient(
        self, plain: Tensor, weighted: Tensor, used: Affine
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients of weight and bias from Σ w g and Σ w g · o, (M, C) each."""

    def sums_gradient(
        self, to_weight: Tensor, to_bias: Tensor, tables: MixtureTables, rule: Rule
    ) -> tuple[Tensor, Tensor]:
        """Return the gradients of S¹ and S², (M, C) each, from those of weight and bias."""

    def move(
        self, stored: Components, tables: MixtureTables, learning: Learning, split: bool
    ) -> None:
        """Move stored statistics in place towards a batch's; see :class:`Learning`."""
