"""The bases for data sets of one's own: mmdet's networks, made small where they say so."""

from pathlib import Path

import cv2
import mmdet
import numpy as np
import pytest
import torch
from coco_files import NAMES, coco, write
from mmengine.config import Config
from mmengine.registry import MODELS

from mmdet_ltnorm.data.coco_to_lvis import coco_to_lvis
from mmdet_ltnorm.engine.launch import build_runner

BASES = Path(__file__).parents[1] / "configs" / "_base_"
HOST = Path(mmdet.__file__).parent / ".mim" / "configs"


def leaf(tmp_path, name, **options):
    """Return the tutorial's config on a base, for the classes of ``coco_files``."""
    heads = ["bbox_head=dict(num_classes=3, loss_cls=dict(num_classes=3))"]
    heads += ["mask_head=dict(num_classes=3)"] * ("masks" in name)
    text = f"""
_base_ = "{BASES / name}.py"
model = dict(backbone=dict(norm_cfg=dict(type="NBN")), roi_head=dict({", ".join(heads)}))
own = dict(data_root="{tmp_path}/", metainfo=dict(classes={NAMES}))
train_dataloader = dict(
    dataset=dict(ann_file="lvis/train.json", data_prefix=dict(img="train/"), **own)
)
val_dataloader = dict(dataset=dict(ann_file="lvis/val.json", data_prefix=dict(img="val/"), **own))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file="{tmp_path}/lvis/val.json")
test_evaluator = val_evaluator
"""
    (tmp_path / "own.py").write_text(text)
    cfg = Config.fromfile(tmp_path / "own.py")
    cfg.merge_from_dict(options)
    return cfg


def differing(ours, hosts, key=""):
    """Return the keys of a config's values that are not those of the other."""
    if not isinstance(ours, dict) or not isinstance(hosts, dict):
        return [] if ours == hosts else [key]
    keys = sorted(ours.keys() | hosts.keys())
    return [d for k in keys for d in differing(ours.get(k), hosts.get(k), f"{key}.{k}")]


def test_the_base_for_outlines_is_mmdets_mask_rcnn_but_for_its_classifier():
    ours = Config.fromfile(BASES / "det_coco_format_masks.py")
    hosts = Config.fromfile(HOST / "mask_rcnn" / "mask-rcnn_r50_fpn_1x_coco.py")
    backbone = ours.model.backbone.backbone.to_dict()
    found = differing({**ours.model.to_dict(), "backbone": backbone}, hosts.model.to_dict())
    allowed = (".roi_head.bbox_head.", ".test_cfg.rcnn.", "._scope_", ".backbone._scope_")
    assert [key for key in found if not key.startswith(allowed)] == []
    assert not {".test_cfg.rcnn.nms", ".test_cfg.rcnn.mask_thr_binary"}.intersection(found)
    ours, hosts = (
        [{k: v for k, v in step.items() if k not in ("_scope_", "backend_args")} for step in steps]
        for steps in (ours.train_dataloader.dataset.pipeline, hosts.train_pipeline)
    )
    assert ours == hosts


@pytest.mark.parametrize("name", ["det_coco_format", "det_coco_format_masks"])
def test_a_config_on_a_large_base_builds(tmp_path, name):
    model = MODELS.build(leaf(tmp_path, name).model)
    assert model.with_mask == ("masks" in name)
    assert model.roi_head.bbox_head.num_classes == 3


@pytest.mark.parametrize("name", ["det_coco_format_small", "det_coco_format_masks_small"])
def test_a_small_base_trains_and_scores_polygons_and_run_lengths(tmp_path, name):
    for split, images in {"train": 8, "val": 2}.items():
        content = coco(images=images)
        rle = {"size": [64, 64], "counts": [64 * 2 + 4, 16, *[48, 16] * 15, 64 * 46 + 44]}
        content["annotations"][0]["segmentation"] = rle
        write(tmp_path / f"{split}.json", content)
        (tmp_path / split).mkdir()
        for image in content["images"]:
            noise = np.random.default_rng(image["id"]).integers(0, 255, (64, 64, 3))
            cv2.imwrite(str(tmp_path / split / image["file_name"]), noise.astype(np.uint8))
    coco_to_lvis(tmp_path / "train.json", [tmp_path / "val.json"], tmp_path / "lvis", (2, 9))
    options = {"train_cfg.max_epochs": 1, "work_dir": str(tmp_path / "run"), "launcher": "none"}
    for loader in "train_dataloader", "val_dataloader":
        options |= {f"{loader}.num_workers": 0, f"{loader}.persistent_workers": False}
    build_runner(leaf(tmp_path, name, **options)).train()
    [log] = tmp_path.glob("run/*/*.log")
    scores = log.read_text()
    assert "lvis/bbox_APc" in scores and ("lvis/segm_APc" in scores) == ("masks" in name)
    weights = torch.load(tmp_path / "run" / "epoch_1.pth", weights_only=False)["state_dict"]
    assert all(torch.isfinite(weight).all() for weight in weights.values())
