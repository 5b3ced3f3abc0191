"""Swapping batch norm layers for others, in place."""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_ltnorm.norms import NBN, share_magnitude
from mmdet_ltnorm.surgery.positions import norm_positions
from mmdet_ltnorm.surgery.share import sharing_groups


def replace_norms(
    model: nn.Module,
    norm_cfg: dict[str, Any],
    positions: str | Sequence[str] = "residual",
    share: str = "all",
) -> list[str]:
    """Replace batch norm layers of a network in place and return the names of those replaced.

    Weights, statistics, device, dtype, mode and ``requires_grad`` of a layer are kept, and so are
    its eps and momentum unless ``norm_cfg`` gives them. A network whose selected layers are all as
    batch norm initializes them has nothing to keep: its new layers start as their type does.

    Args:
        norm_cfg: what mmcv's ``build_norm_layer`` takes, such as ``dict(type='NBN')``.
        positions: see :func:`norm_positions`.
        share: see :func:`sharing_groups`; for norms with a magnitude.

    Raises:
        ValueError: nothing to replace, or a layer synchronized by the host's SyncBN.
    """
    names = norm_positions(model, positions)
    old = {name: model.get_submodule(name) for name in names}
    new = {name: _build_like(norm_cfg, norm, name) for name, norm in old.items()}
    keep = not all(_is_fresh(norm) for norm in old.values())
    for group in sharing_groups(names, share):
        layers = [new[name] for name in group]
        if all(isinstance(layer, NBN) for layer in layers):
            share_magnitude(layers)
        if keep:
            for name in group:
                new[name].load_state_dict(old[name].state_dict())
        _freeze_like(layers, [old[name] for name in group])
    _install(model, {id(old[name]): new[name] for name in names})
    return names


def _build_like(norm_cfg: dict[str, Any], norm: _BatchNorm, name: str) -> nn.Module:
    if isinstance(norm, nn.SyncBatchNorm):
        raise ValueError(
            f"{name} is a SyncBatchNorm, whose synchronization would be lost: build the backbone "
            "with norm_cfg=dict(type='BN')"
        )
    kept = {"eps": norm.eps, "momentum": norm.momentum}
    layer = build_norm_layer({**kept, **norm_cfg}, norm.num_features)[1]
    reference = next(norm.parameters(), norm.running_mean)
    return layer.to(reference.device, reference.dtype).train(norm.training)


def _is_fresh(norm: _BatchNorm) -> bool:
    """Tell whether a layer is as batch norm starts, or has γ = 0 from ``zero_init_residual``."""
    built = nn.BatchNorm2d(
        norm.num_features, affine=norm.affine, track_running_stats=norm.track_running_stats
    ).state_dict()
    return all(
        torch.equal(tensor.cpu(), built[name].to(tensor.dtype))
        or (name == "weight" and not tensor.any())
        for name, tensor in norm.state_dict().items()
    )


def _freeze_like(layers: Sequence[nn.Module], hosts: Sequence[_BatchNorm]) -> None:
    """Freeze what the hosts have frozen; a shared magnitude trains if any of its layers does."""
    for layer, host in zip(layers, hosts, strict=True):
        for name, parameter in host.named_parameters():
            layer._parameters[name].requires_grad_(parameter.requires_grad)
    if not any(parameter.requires_grad for host in hosts for parameter in host.parameters()):
        for parameter in layers[-1].parameters():
            parameter.requires_grad_(False)


def _install(model: nn.Module, layers: dict[int, nn.Module]) -> None:
    """Put each new layer wherever the old one stands, a module used twice included."""
    for parent in list(model.modules()):
        for child_name, child in parent._modules.items():
            if id(child) in layers:
                parent._modules[child_name] = layers[id(child)]
