"""``WeightNormBackbone``: weight normalization of the convolutions where NBN would sit."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from mmdet_ltnorm.surgery.backbone import build_host
from mmdet_ltnorm.surgery.positions import norm_positions


@MODELS.register_module()
def WeightNormBackbone(  # noqa: N802, it stands as a type in configs
    backbone: dict[str, Any], positions: str | Sequence[str] = "residual"
) -> nn.Module:
    r"""Build a backbone with weight norm on the convolutions that feed some of its batch norms.

    .. math:: w_c = g_c\,v_c / \|v_c\| \qquad\text{(Salimans and Kingma, 2016; NBN paper, Table X)}

    for each output channel c, by :func:`torch.nn.utils.parametrizations.weight_norm`; the batch
    norms stay as they are. The paper does not say which convolutions; these are those whose outputs
    NBN's layers would normalize.

    Checkpoints of the plain backbone load with their function. A host's ``init_weights`` does not
    reach these convolutions, which start as torch initializes them: the batch norm that follows
    cancels the difference in scale.

    Args:
        backbone: the host backbone's config.
        positions: batch norms; see :func:`~mmdet_ltnorm.surgery.norm_positions`.

    Raises:
        ValueError: a selected batch norm has no convolution before it.
    """
    model = build_host(backbone)
    names = [_convolution_before(model, norm) for norm in norm_positions(model, positions)]
    for name in names:
        conv = weight_norm(model.get_submodule(name))
        conv._register_load_state_dict_pre_hook(_split_weight)  # torch 2.4 has no public one
    print_log(f"WeightNormBackbone: weight norm on {', '.join(names)}", logger="current")
    return model


def _convolution_before(model: nn.Module, norm: str) -> str:
    """Return the name of the last convolution that the host defines before a norm."""
    found = None
    for name, module in model.named_modules():
        if name == norm:
            break
        if isinstance(module, nn.Conv2d):
            found = name
    channels = model.get_submodule(norm).num_features
    if found is None or model.get_submodule(found).out_channels != channels:
        raise ValueError(
            f"expected a convolution with {channels} output channels before {norm}, got {found}"
        )
    return found


def _split_weight(state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Turn a plain convolution's entry in a state dict into length and direction."""
    weight = state_dict.pop(prefix + "weight", None)
    if weight is not None:
        state_dict[prefix + "parametrizations.weight.original0"] = torch.norm_except_dim(weight)
        state_dict[prefix + "parametrizations.weight.original1"] = weight
