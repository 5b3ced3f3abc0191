"""The NBN authors' ResNet-50, written anew from what their code computes.

Parameters have the names of torchvision's ResNet. As in our ``official=True``, the norms that feed
the last stage's residual stream use g · v / (|v| + 1e-6) in place of their weight and bias v; the
parameter g starts at 1, and all of them share it.
"""

import torch
from torch import nn
from torch.nn import functional as F

BLOCKS = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    """Three convolutions with batch norms, and a shortcut around them."""

    def __init__(self, inner, width, stride):
        super().__init__()
        outer = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outer, 1, bias=False), nn.BatchNorm2d(outer)
        self.downsample = None
        if stride != 1 or inner != outer:
            conv = nn.Conv2d(inner, outer, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outer))

    def forward(self, x, normed):
        shortcut = x
        if self.downsample is not None:
            conv, norm = self.downsample
            shortcut = normed(norm, conv(x))
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(normed(self.bn3, self.conv3(x)) + shortcut)


class AuthorsResNet(nn.Module):
    """ResNet-50 of a given width with NBN in its last stage, and a classifier on top.

    Args:
        rectified: whether the logits go through a batch norm without affine part (LR).
    """

    def __init__(self, width, num_classes, rectified):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        inner = width
        for stage, count in enumerate(BLOCKS):
            planes = width * 2**stage
            blocks = []
            for index in range(count):
                stride = 2 if stage and not index else 1
                blocks.append(Bottleneck(inner, planes, stride))
                inner = 4 * planes
            setattr(self, f"layer{stage + 1}", nn.ModuleList(blocks))
        self.fc = nn.Linear(inner, num_classes)
        self.logit_norm = nn.BatchNorm1d(num_classes, affine=False) if rectified else None
        self.g = nn.Parameter(torch.ones(()))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in (1, 2, 3, 4):
            normed = self.scaled if stage == 4 else lambda norm, x: norm(x)
            for block in getattr(self, f"layer{stage}"):
                x = block(x, normed)
        logits = self.fc(x.mean((2, 3)))
        return logits if self.logit_norm is None else self.logit_norm(logits)

    def scaled(self, norm, x):
        vectors = [v / (torch.norm(v) + 1e-6) * self.g for v in (norm.weight, norm.bias)]
        mean, var = norm.running_mean, norm.running_var
        return F.batch_norm(x, mean, var, *vectors, norm.training, 0.1, norm.eps)
