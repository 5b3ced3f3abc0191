"""ResNet for 32x32 images (He et al., "Deep Residual Learning", Sec. 4.2)."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class ResNetCIFAR(BaseModule):
    """ResNet-20, -32, -44, -56 and -110: a 3x3 stem and three stages of (depth - 2) / 6 blocks.

    Blocks and names are those of mmdet's ResNet-18 (``layer3.4.bn2``), so ``LTNormBackbone`` and
    checkpoint tools see a host's network. Without a norm in the shortcuts of option A, the paper's
    positions are ``bn2`` of the blocks of ``layer3``.

    Shape: (N, 3, H, W) to the outputs of the three stages, (N, 16w, H, W), (N, 32w, H/2, W/2) and
    (N, 64w, H/4, W/4) for width w.

    Args:
        depth: 6n + 2; ResNet-8 is the smallest.
        width: multiplier of the channels.
        channels: the channels of the three stages at width 1, all different.
        shortcut: where the shape changes, ``'A'``: take every other pixel and pad with channels of
            zeros, no parameters; ``'B'``: 1x1 convolution and norm.
        stem_stride: 2 quarters the cost, for demonstrations.

    Raises:
        ValueError: a depth that is not 6n + 2, or an unknown shortcut.
    """

    def __init__(
        self,
        depth: int,
        width: int = 1,
        channels: Sequence[int] = (16, 32, 64),
        shortcut: str = "A",
        stem_stride: int = 1,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"depth must be 6n + 2 (8, 20, 32, 44, 56, 110), got {depth}")
        if shortcut not in ("A", "B"):
            raise ValueError(f"shortcut must be 'A' or 'B', got {shortcut!r}")
        super().__init__(init_cfg or dict(type="Kaiming", layer="Conv2d", mode="fan_in"))
        norm_cfg = norm_cfg or dict(type="BN")
        first, second, third = (width * number for number in channels)
        self.conv1 = nn.Conv2d(3, first, 3, stem_stride, padding=1, bias=False)
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, first, postfix=1)
        self.add_module(self.norm1_name, norm1)
        blocks = (depth - 2) // 6
        self.layer1 = _stage(first, first, blocks, shortcut, norm_cfg)
        self.layer2 = _stage(first, second, blocks, shortcut, norm_cfg)
        self.layer3 = _stage(second, third, blocks, shortcut, norm_cfg)
        self.feat_dim = third  # mmdet's name for the channels of the last output

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the outputs of the three stages."""
        stem = F.relu(getattr(self, self.norm1_name)(self.conv1(images)))
        first = self.layer1(stem)
        second = self.layer2(first)
        return first, second, self.layer3(second)


class ZeroPadShortcut(nn.Module):
    """Option A: every other pixel, zero-padded: (N, C, H, W) to (N, channels, H/2, W/2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, input: Tensor) -> Tensor:
        """Return the parameter-free shortcut."""
        added = self.channels - input.shape[1]
        return F.pad(input[:, :, ::2, ::2], (0, 0, 0, 0, added // 2, added - added // 2))


def _stage(
    in_channels: int, channels: int, blocks: int, shortcut: str, norm_cfg: dict[str, Any]
) -> nn.Sequential:
    # mmdet needs mmcv's compiled ops, which importing this package must not.
    from mmdet.models.backbones.resnet import BasicBlock

    stride, downsample = 1, None
    if in_channels != channels:
        stride = 2
        downsample = (
            ZeroPadShortcut(channels)
            if shortcut == "A"
            else nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False),
                build_norm_layer(norm_cfg, channels)[1],
            )
        )
    first = BasicBlock(in_channels, channels, stride, downsample=downsample, norm_cfg=norm_cfg)
    rest = [BasicBlock(channels, channels, norm_cfg=norm_cfg) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
