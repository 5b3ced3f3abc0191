"""``LTNormBackbone``: any backbone, with its own or with replaced norms."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmdet_ltnorm.norms import NormalizedAffine
from mmdet_ltnorm.surgery.replace import replace_norms


@MODELS.register_module()
def LTNormBackbone(  # noqa: N802, it stands as a type in configs
    backbone: dict[str, Any],
    norm_cfg: dict[str, Any] | None = None,
    positions: str | Sequence[str] = "residual",
    share: str = "all",
) -> nn.Module:
    """Build a backbone, replace the norms at some positions, and return the backbone itself.

    A function, not a wrapper module: the object keeps its type, its ``init_cfg`` and all its
    state-dict keys, so pretrained weights, ``norm_eval`` and ``frozen_stages`` work as before.
    Random numbers for the new norms do not change the later ones: with one seed, all else starts as
    in the network with batch norm::

        backbone=dict(type='LTNormBackbone', backbone=dict(type='ResNet', depth=50, ...),
                      norm_cfg=dict(type='NBN'))

    Args:
        backbone: the host backbone's config.
        norm_cfg: the norm to place, such as ``dict(type='NBN')``; ``None`` keeps the host's norms.
        positions: which norms to replace; see :func:`~mmdet_ltnorm.surgery.norm_positions`.
        share: which of them share one magnitude; see :func:`~mmdet_ltnorm.surgery.sharing_groups`.

    Raises:
        ValueError: the positions select nothing in this backbone; the message lists its norms. Or
            ``positions`` or ``share`` are given and ``norm_cfg`` is not.
    """
    model = build_host(backbone)
    if norm_cfg is None:
        if (positions, share) != ("residual", "all"):
            raise ValueError(
                f"LTNormBackbone got positions={positions!r} and share={share!r} but no norm_cfg, "
                "so they would change nothing: give norm_cfg, such as dict(type='NBN')"
            )
        return model
    with torch.random.fork_rng(devices=[]):
        names = replace_norms(model, norm_cfg, positions, share)
    _log(norm_cfg["type"], model, names)
    return model


def _log(kind: str, model: nn.Module, names: Sequence[str]) -> None:
    """Log the replaced norms, and warn of frozen ones that follow a magnitude."""
    message = f"LTNormBackbone: {kind} replaces {len(names)} norms of {type(model).__name__}"
    print_log(f"{message}: {', '.join(names)}", logger="current")
    frozen = [name for name in names if _is_frozen(model.get_submodule(name))]
    if frozen:
        message = (
            f"LTNormBackbone: {len(frozen)} of them are frozen but follow a magnitude they share"
        )
        print_log(f"{message}: {', '.join(frozen)}", logger="current", level=logging.WARNING)


def _is_frozen(layer: nn.Module) -> bool:
    """Tell whether a layer's raw vectors are frozen, so that its magnitude alone would move it."""
    return isinstance(layer, NormalizedAffine) and not next(layer.parameters()).requires_grad


def build_host(backbone: dict[str, Any]) -> nn.Module:
    """Build the backbone that a config describes, mmdet's included."""
    # Without a default scope (a script, a test) the root registry does not look into mmdet.
    scope = None if DefaultScope.get_current_instance() else "mmdet"
    with MODELS.switch_scope_and_registry(scope) as registry:
        return registry.build(backbone)
