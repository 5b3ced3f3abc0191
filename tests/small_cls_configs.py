"""The classification configs, made small for tests: narrow networks, small images, two steps."""

import itertools
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

CONFIGS = Path(__file__).parents[1] / "configs"
FOLDERS = ("cifar_lt", "imagenet_lt", "inat18", "places_lt")
LEAVES = sorted(
    [path for folder in FOLDERS for path in (CONFIGS / folder).glob("*.py")]
    + list((CONFIGS / "demo").glob("cls_*.py"))
)
by_name = pytest.mark.parametrize("path", LEAVES, ids=lambda path: path.stem)
_runs = itertools.count()


def host(model):
    """Return the config of the host's backbone, which others wrap."""
    backbone = model.backbone
    while "backbone" in backbone:
        backbone = backbone.backbone
    return backbone


def small(path, data_roots, work_dir):
    """Load a config for a run of two steps of a narrow network."""
    cfg = Config.fromfile(path)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f"{path.stem}-{next(_runs)}"
    cfg.visualizer.vis_backends = [dict(type="LocalVisBackend")]
    backbone = host(cfg.model)
    if backbone.type != "ResNetCIFAR":
        backbone.update(base_channels=8, init_cfg=None)
    else:
        backbone.depth = 8
    # Instance norm takes more than one pixel, and so do the groups of split passes in all norms.
    split_everywhere = cfg.model.type.startswith(("Split", "DualPath")) and "_all" in path.stem
    side = 64 if split_everywhere or "'IN'" in str(cfg.model) else 32
    for loader in cfg.train_dataloader, cfg.val_dataloader:
        loader.update(num_workers=0, persistent_workers=False, batch_size=4)
        if loader.dataset.type in data_roots:
            loader.dataset.data_root = str(data_roots[loader.dataset.type])
        for step in steps(loader.dataset.pipeline):
            if step.type in ("RandomResizedCrop", "ResizeShortestEdge", "CenterCrop"):
                name = {"RandomResizedCrop": "size", "CenterCrop": "crop_size"}
                step[name.get(step.type, "scale")] = side + 8 if "Shortest" in step.type else side
    if "contrastive_head" in cfg.model:
        cfg.model.contrastive_head.update(hidden_channels=16, out_channels=8)
    if cfg.train_dataloader.dataset.get("imbalance_factor", 1) > 20:
        cfg.train_dataloader.dataset.imbalance_factor = 20
    cfg.val_dataloader.batch_size = 50
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=2, val_interval=2)
    follow_epochs = ("RIDELoss", "ClassBalancedLoss")
    if any(loss in str(cfg.model) for loss in follow_epochs) or "epoch" in str(
        cfg.train_dataloader.sampler
    ):
        cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
        cfg.train_dataloader.dataset.indices = 8
    cfg.param_scheduler = None
    if "auto_scale_lr" in cfg:  # the lr of 512 images would make a step of 4 diverge
        cfg.auto_scale_lr.enable = True
    if "first_stage" in cfg.model:
        cfg.model.first_stage = str(save_first_stage(cfg, Path(work_dir) / "first.pth"))
    return cfg


def steps(pipeline):
    """Yield the transforms of a pipeline, including those of its views."""
    for step in pipeline:
        yield step
        for view in step.get("views", ()):
            yield from view


def save_first_stage(cfg, file):
    DefaultScope.get_instance("first", scope_name="mmdet")
    model = cfg.model.to_dict()
    for key in ("first_stage", "kept", "trainable", "backbone_eval"):
        model.pop(key, None)
    model.update(type="ImageClassifier")
    if not model["head"]["type"].startswith("Expert"):
        model["head"]["predictor"] = dict(type="Linear")
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": MODELS.build(model).state_dict()}, file)
    return file
