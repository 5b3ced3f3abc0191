"""The demo's Mask R-CNN with a checkpoint as if it were trained."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmdet_ltnorm.norms import NBN

CONFIG = Path(__file__).parents[1] / "configs" / "demo" / "seesaw_nbn.py"


def trained_detector(checkpoint: Path) -> tuple[Path, Path]:
    """Write a checkpoint with statistics and NBN vectors that are not fresh; return the config."""
    init_default_scope("mmdet")
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(CONFIG).model)
    for module in model.modules():
        if isinstance(module, NBN):
            nn.init.uniform_(module._parameters["weight"], 0.5, 2)
    for _ in range(3):
        model.backbone(torch.randn(2, 3, 64, 64))
    # A fresh head finds every class in every proposal; this one finds some of some.
    nn.init.normal_(model.roi_head.bbox_head.fc_cls.weight)
    torch.save({"state_dict": model.state_dict()}, checkpoint)
    return CONFIG, checkpoint
