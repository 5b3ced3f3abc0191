r"""The interface of a backend: the functions that each implementation has, and their arguments.

CBN's work is of two kinds: passes over the pixels of a feature map (B, C, ...), and arithmetic on
its M components, whose statistics and coefficients are matrices (M, C);
:mod:`~mmdet_ltnorm.norms.mixture` has the formulas. Both compute with offsets (o) from a centre
(C,), a point among the pixels, because differences of large numbers lose precision; only what is
called ``mean`` is no offset. "Wide" means float32, or the pixels' type if it is wider.
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

    def __call__(self, x: Tensor, raw: RawAffine, statistics: Statistics) -> Tensor: ...


class Components(NamedTuple):
    """A layer's stored statistics of its components: mean and var (M, C), prior (M,)."""

    mean: Tensor
    var: Tensor
    prior: Tensor

    def centre(self) -> Tensor:
        """Return a point among the means, (C,)."""
        return self.mean.mean(0)


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
    ) -> tuple[Affine, BatchMoments]:
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
        self, to_weight: Tensor, to_bias: Tensor, used: Affine, moments: BatchMoments, rule: Rule
    ) -> Tensor:
        """Return the gradient of the sums (M, 1 + 2C) from the gradients of weight and bias."""

    def move(
        self,
        running: Components,
        batch: BatchMoments,
        not_finite: Tensor,
        rate: float,
        unbiased: bool,
        split: bool,
    ) -> None:
        """Move stored statistics in place towards a batch's, which get the weight ``rate``.

        Where the batch's are not finite, nothing moves, and the integer ``not_finite`` becomes 1.
        With ``unbiased``, N / (N - 1) times the batch's variance is stored, as by batch norm; N is
        the number of pixels of the batch or, if it is split, of the component's part. A split batch
        leaves the prior as it is.
        """


class Backend(NamedTuple):
    """The implementations of both kinds of CBN's work."""

    pixels: PixelPasses
    components: ComponentArithmetic
