"""mmdet's ResNets with last stages of another width, as RIDE's experts have them."""

from typing import Any

from mmengine.registry import MODELS
from torch import nn


@MODELS.register_module()
def NarrowedResNet(  # noqa: N802, it stands as a type in configs
    backbone: dict[str, Any], width: float
) -> nn.Module:
    """Build one of mmdet's ResNets with ``width`` times the channels in its last two stages.

    RIDE's ``reduce_dimension`` is ``width=0.75``: 192 and 384 channels, before the expansion of
    bottlenecks, instead of 256 and 512. The host's constructor makes the stages; the object is one
    of the host's type, with the host's state-dict keys.

    Raises:
        ValueError: a backbone that is none of mmdet's ResNets, or no whole number of channels.
    """
    # mmdet needs mmcv's compiled ops, which importing this package must not.
    from mmdet.models.backbones import RegNet, ResNet

    with MODELS.switch_scope_and_registry(None) as registry:
        host = registry.get(backbone["type"])
    if not (isinstance(host, type) and issubclass(host, ResNet)) or issubclass(host, RegNet):
        raise ValueError(
            f"NarrowedResNet takes mmdet's ResNet, ResNeXt and their like, got {backbone['type']}"
        )
    narrowed = type(host.__name__, (_NarrowStages, host), {"last_width": width})
    model = MODELS.build({**backbone, "type": narrowed})
    model.feat_dim = model.narrowed(model.feat_dim)
    return model


class _NarrowStages:
    """Change the channels of the last two stages while a ResNet's constructor builds them."""

    last_width: float

    def make_res_layer(self, inplanes: int, planes: int, **kwargs: Any) -> nn.Module:
        """Build the next stage."""
        stage, first = len(self.res_layers), len(self.stage_blocks) - 2
        if stage >= first:
            planes = self.narrowed(planes)
        if stage > first:
            inplanes = self.narrowed(inplanes)
        return super().make_res_layer(inplanes=inplanes, planes=planes, **kwargs)

    def narrowed(self, channels: int) -> int:
        """Return the number of channels at the other width."""
        if self.last_width * channels % 1:
            raise ValueError(f"width={self.last_width} of {channels} channels is no whole number")
        return int(self.last_width * channels)
