"""``--cfg-options`` that make the LVIS configs' Mask R-CNN small enough for a test."""

from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).parents[1] / "configs" / "lvis"


def tiny_model(num_classes: int = 1203) -> dict[str, Any]:
    """Return options for R18 of width 32, FPN 64 and 16 RoIs, trained from scratch."""
    backbone = "model.backbone.backbone"
    return {
        f"{backbone}.depth": 18,
        f"{backbone}.base_channels": 32,
        f"{backbone}.frozen_stages": -1,
        f"{backbone}.norm_eval": False,
        f"{backbone}.init_cfg": None,
        "model.neck.in_channels": [32, 64, 128, 256],
        "model.neck.out_channels": 64,
        "model.rpn_head.in_channels": 64,
        "model.rpn_head.feat_channels": 64,
        "model.roi_head.bbox_roi_extractor.out_channels": 64,
        "model.roi_head.bbox_head.in_channels": 64,
        "model.roi_head.bbox_head.fc_out_channels": 256,
        "model.roi_head.bbox_head.num_classes": num_classes,
        "model.roi_head.bbox_head.loss_cls.num_classes": num_classes,
        "model.roi_head.mask_roi_extractor.out_channels": 64,
        "model.roi_head.mask_head.in_channels": 64,
        "model.roi_head.mask_head.conv_out_channels": 64,
        "model.roi_head.mask_head.num_classes": num_classes,
        "model.train_cfg.rcnn.sampler.num": 16,
        "model.train_cfg.rpn_proposal.max_per_img": 100,
        "model.test_cfg.rpn.max_per_img": 100,
        "model.test_cfg.rcnn.max_per_img": 10,
    }


def tiny_data(data_root: Path, image_size: int) -> dict[str, Any]:
    """Return options for a miniature data set, small images and no worker processes."""
    options: dict[str, Any] = {
        "train_dataloader.dataset.pipeline.2.scales": [(image_size, image_size)]
    }
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        options[f"{loader}.dataset.data_root"] = f"{data_root}/"
        options[f"{loader}.num_workers"] = 0
        options[f"{loader}.persistent_workers"] = False
    for split in ("val", "test"):
        options[f"{split}_evaluator.ann_file"] = f"{data_root}/annotations/lvis_v1_val.json"
        options[f"{split}_dataloader.dataset.pipeline.1.scale"] = (image_size, image_size)
    return options


def as_arguments(options: dict[str, Any]) -> list[str]:
    """Write options as a command line takes them."""
    return [f"{key}={str(value).replace(' ', '')}" for key, value in options.items()]
