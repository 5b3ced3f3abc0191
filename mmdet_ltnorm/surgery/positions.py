"""Names of the norm layers that a placement selects."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

POSITIONS = ("residual", "last_stage", "complement", "all")


def norm_positions(model: nn.Module, positions: str | Sequence[str] = "residual") -> list[str]:
    """Return the names of the selected batch norm layers, in the order of the model's modules.

    Args:
        positions: ``'residual'``, the paper's choice: the last norm of every block of the last
            stage and the norm of its down-sampling branch (NBN paper, Fig. 3); ``'last_stage'``:
            all norms of the last stage (Table VI, type A); ``'complement'``: the other norms of the
            last stage (type B); ``'all'`` (type C); or glob patterns over module names, such as
            ``['layer4.*.bn3']``.

    Raises:
        ValueError: an unknown name, a backbone whose stages or blocks cannot be told, or a pattern
            that matches nothing; the message lists the norm layers that exist.
    """
    norms = [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    if not isinstance(positions, str):
        return _matching(norms, positions)
    if positions not in POSITIONS:
        raise ValueError(
            f"positions must be one of {POSITIONS} or a list of patterns, got {positions!r}"
        )
    if positions == "all":
        if not norms:
            raise ValueError(f"{type(model).__name__} has no batch norm layer to replace")
        return norms
    stage = _last_stage(model, norms)
    in_stage = [name for name in norms if name.startswith(f"{stage}.")]
    if positions == "last_stage":
        return in_stage
    residual = _residual(model, stage, norms)
    chosen = [name for name in in_stage if (name in residual) == (positions == "residual")]
    return chosen


def _matching(norms: list[str], patterns: Sequence[str]) -> list[str]:
    if not patterns:
        raise ValueError(f"the list of patterns is empty; {_listing(norms)}")
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in norms):
            raise ValueError(f"the pattern {pattern!r} matches no norm layer; {_listing(norms)}")
    return [name for name in norms if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _last_stage(model: nn.Module, norms: list[str]) -> str:
    """Return the name of the child ``layerN`` with the highest N, as ResNets call their stages."""
    stages = [name for name, _ in model.named_children() if re.fullmatch(r"layer\d+", name)]
    if not stages:
        raise ValueError(
            f"cannot tell the stages of {type(model).__name__}: it has no children layer1, layer2, "
            f"...; give positions as patterns. {_listing(norms)}"
        )
    return max(stages, key=lambda name: int(name.removeprefix("layer")))


def _residual(model: nn.Module, stage: str, norms: list[str]) -> set[str]:
    """Return the norms whose outputs are added up in the residual stream of a stage."""
    chosen = set()
    for index, block in model.get_submodule(stage).named_children():
        prefix = f"{stage}.{index}"
        last = _last_norm(block)
        if f"{prefix}.{last}" not in norms:
            raise ValueError(
                f"cannot tell the last norm of {prefix}, a {type(block).__name__}: it has neither "
                f"norm2/norm3 (mmdet) nor bn2/bn3; give positions as patterns. {_listing(norms)}"
            )
        chosen.add(f"{prefix}.{last}")
        chosen.update(name for name in norms if name.startswith(f"{prefix}.downsample."))
    return chosen


def _last_norm(block: nn.Module) -> str | None:
    """Return the child name of a residual block's last norm, by the name its host gives it."""
    children = dict(block.named_children())
    for number in (3, 2):
        name = getattr(block, f"norm{number}_name", f"bn{number}")
        if name in children:
            return name
    return None


def _listing(norms: list[str]) -> str:
    return "norm layers: " + (", ".join(norms) if norms else "none")
