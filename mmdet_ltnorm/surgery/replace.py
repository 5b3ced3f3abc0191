"""Swapping batch norm layers for others, in place."""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_ltnorm.norms import NormalizedAffine, share_magnitude
from mmdet_ltnorm.surgery.positions import norm_positions
from mmdet_ltnorm.surgery.share import sharing_groups


def replace_norms(
    model: nn.Module,
    norm_cfg: dict[str, Any],
    positions: str | Sequence[str] = "residual",
    share: str = "all",
) -> list[str]:
    """Replace batch norm layers of a network in place and return their names.

    Weights, statistics, device, dtype, mode and ``requires_grad`` of a layer are kept as far as the
    new layer has them (group norm has no statistics, instance norm by default no weights), and so
    are eps and momentum unless ``norm_cfg`` gives them. A network whose selected layers are all as
    batch norm initializes them has nothing to keep: its new layers start as their type does.

    Args:
        norm_cfg: what mmcv's ``build_norm_layer`` takes, such as ``dict(type='NBN')``.
        positions: see :func:`norm_positions`.
        share: see :func:`sharing_groups`; for norms with a magnitude.

    Raises:
        ValueError: nothing to replace, a layer synchronized by the host's SyncBN, or a new norm
            that does not fit: layer norm of the last dimension, group norm without its groups.
    """
    names = norm_positions(model, positions)
    old = {name: model.get_submodule(name) for name in names}
    new = {name: _build_like(norm_cfg, norm, name) for name, norm in old.items()}
    keep = not all(_is_fresh(norm) for norm in old.values())
    for group in sharing_groups(names, share):
        layers = [new[name] for name in group]
        if all(isinstance(layer, NormalizedAffine) for layer in layers):
            share_magnitude(layers)
        if keep:
            for name in group:
                _keep_common_state(old[name], new[name])
        _freeze_like(layers, [old[name] for name in group])
    _install(model, {id(old[name]): new[name] for name in names})
    return names


def _build_like(norm_cfg: dict[str, Any], norm: _BatchNorm, name: str) -> nn.Module:
    if isinstance(norm, nn.SyncBatchNorm):
        raise ValueError(
            f"{name} is a SyncBatchNorm, whose synchronization would be lost: build the backbone "
            "with norm_cfg=dict(type='BN')"
        )
    if norm_cfg.get("type") == "GN" and "num_groups" not in norm_cfg:
        raise ValueError("norm_cfg of type GN needs num_groups; 1 is layer norm over (C, H, W)")
    layer = build_norm_layer(norm_cfg, norm.num_features)[1]
    if type(layer).forward is nn.LayerNorm.forward:
        raise ValueError(
            f"{norm_cfg['type']} normalizes the last dimension, which in (N, C, H, W) is the "
            f"width: for layer norm at {name} use dict(type='GN', num_groups=1)"
        )
    for option in ("eps", "momentum"):
        if option not in norm_cfg and hasattr(layer, option):
            setattr(layer, option, getattr(norm, option))
    reference = next(norm.parameters(), norm.running_mean)
    return layer.to(reference.device, reference.dtype).train(norm.training)


def _keep_common_state(old: _BatchNorm, new: nn.Module) -> None:
    common = {k: v for k, v in old.state_dict().items() if k in new.state_dict()}
    new.load_state_dict(common, strict=False)


def _is_fresh(norm: _BatchNorm) -> bool:
    """Tell whether a layer has batch norm's initial values, or γ = 0 of ``zero_init_residual``."""
    built = nn.BatchNorm2d(
        norm.num_features, affine=norm.affine, track_running_stats=norm.track_running_stats
    ).state_dict()
    return all(
        torch.equal(tensor.cpu(), built[name].to(tensor.dtype))
        or (name == "weight" and not tensor.any())
        for name, tensor in norm.state_dict().items()
    )


def _freeze_like(layers: Sequence[nn.Module], hosts: Sequence[_BatchNorm]) -> None:
    """Freeze the parameters that the hosts have frozen, and a magnitude if all are frozen."""
    frozen = not any(parameter.requires_grad for host in hosts for parameter in host.parameters())
    for layer, host in zip(layers, hosts, strict=True):
        theirs = dict(host.named_parameters())
        for name, parameter in layer.named_parameters():
            if name in theirs:
                parameter.requires_grad_(theirs[name].requires_grad)
            elif frozen:
                parameter.requires_grad_(False)


def _install(model: nn.Module, layers: dict[int, nn.Module]) -> None:
    """Put each new layer in every place of the old one, which may be used twice."""
    for parent in list(model.modules()):
        for child_name, child in parent._modules.items():
            if id(child) in layers:
                parent._modules[child_name] = layers[id(child)]
