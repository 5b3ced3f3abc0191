"""CBN as passes over the pixels and arithmetic on the components, one after the other."""

from typing import NamedTuple

import torch
from torch import Tensor

from mmdet_ltnorm.norms.backends import feature_map
from mmdet_ltnorm.norms.backends.interface import (
    ComponentArithmetic,
    Components,
    Learning,
    MixtureTables,
    Pass,
    PixelPasses,
    Rule,
)
from mmdet_ltnorm.norms.backends.precision import computing_dtype
from mmdet_ltnorm.norms.backends.synchronize import moments_gradient_over_ranks, moments_over_ranks


class Composed(NamedTuple):
    """A :class:`.Mixture` that is made of two kinds of work; these are who does each."""

    pixels: PixelPasses
    components: ComponentArithmetic

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
        """See :meth:`.Mixture.forward`."""
        dtype, split, (passes, components) = computing_dtype(x), groups is not None, self
        start = stored.flat() if learning else None
        with torch.autocast(x.device.type, enabled=False):
            centre = feature_map.centre(x) if rule.training else stored.centre().to(dtype)
            joint = components.log_joint(stored, centre, rule, dtype)
            weights, sums = passes.expectation(x, joint, centre, groups, rule.training)
            if rule.training:
                sums = moments_over_ranks(sums, centre)
                args = weight, bias, sums, stored, centre, rule, split, dtype
                tables = components.affine_of_batch(*args)
            else:
                args = weight, bias, stored, centre, rule, dtype
                tables = MixtureTables(torch.stack(components.affine_of_stored(*args)))
            scale, shift = tables.matrices[2:4].unbind()
            y = passes.mixed_affine(x, centre, weights, scale, shift)
            of = Pass(weights, centre, tables, start)
            if learning:
                self.learn(stored, of, learning, split)
        return y, of

    def backward(
        self, gradient: Tensor, x: Tensor, weight: Tensor, of: Pass, rule: Rule, needs_x: bool
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """See :meth:`.Mixture.backward`."""
        gradient, (passes, components) = feature_map.like(gradient, x), self
        weights, centre, tables, _ = of
        used = tables.used()
        with torch.autocast(x.device.type, enabled=False):
            plain, weighted = passes.gradient_sums(x, centre, gradient, weights)
            to_weight, to_bias = components.affine_gradient(plain, weighted, used)
            if rule.training:
                sums = components.sums_gradient(to_weight, to_bias, tables, rule)
                first, second = moments_gradient_over_ranks(*sums, centre)
            else:
                first = second = torch.zeros_like(used.scale)
            to_x = None
            if needs_x:
                to_x = passes.input_gradient(
                    x, centre, gradient, weights, used.scale, first, second
                )
        return to_x, to_weight.to(weight.dtype), to_bias.to(weight.dtype)

    def learn(self, stored: Components, of: Pass, learning: Learning, split: bool) -> None:
        """See :meth:`.Mixture.learn`."""
        self.components.move(stored, of.tables, learning, split)
        learning.batches.add_(of.tables.flags[-1])
        if not split:
            feature_map.keep_some_pixels(learning.sample, of.responsibilities)
