"""Detectors as checkpoints for MMDetection without this package."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from mmdet_ltnorm.data.wrapped import dataset_configs
from mmdet_ltnorm.reading import read_text
from mmdet_ltnorm.results.trained import load_model
from mmdet_ltnorm.surgery import fold_norms, plain_config
from mmdet_ltnorm.writing import replacing, write_text

KEPT = ("default_scope", "model", "test_dataloader")
HEADER = "# Written by mmdet_ltnorm's tools/export.py, for the checkpoint beside it.\n"
# What mmdet's DetInferencer draws with.
VISUALIZER = dict(
    type="DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], name="visualizer"
)


def export_plain(config: str | Path, checkpoint: str | Path, out: str | Path) -> Path:
    """Write a detector's folded checkpoint and its plain config; return the config's path.

    Both work in MMDetection without this package, with outputs equal to rounding. The config has
    the test pipeline, which prepares an image as in training; of joined test sets, the first one's.
    An earlier export is replaced, and nothing else.

    Raises:
        ValueError: the model has layers that do not fold, or is another of this package's, or a
            file that is no earlier export would be written over.
    """
    out = Path(out)
    plain_file = out.with_suffix(".py")
    _refuse_other_files(out, plain_file)
    cfg, model, meta = load_model(config, checkpoint)
    cfg.model = plain_config(cfg.model)
    ours = sorted(set(_our_types(cfg.model)))
    if ours:
        raise ValueError(
            f"MMDetection has nothing in the place of mmdet_ltnorm's {', '.join(ours)}: detectors "
            "with its own losses export to OUT.pth, classifiers to OUT.onnx"
        )
    plain = MODELS.build(cfg.model)
    plain.load_state_dict(fold_norms(model).state_dict(), strict=True)
    meta = {name: meta[name] for name in ("dataset_meta",) if name in meta}
    with replacing(out) as partial, partial.open("wb") as file:
        torch.save({"state_dict": plain.state_dict(), "meta": meta}, file)
    kept = {name: cfg[name] for name in KEPT if name in cfg} | {"visualizer": VISUALIZER}
    if dataset := kept.get("test_dataloader", {}).get("dataset"):
        kept["test_dataloader"].dataset = next(dataset_configs(dataset))
    write_text(plain_file, HEADER + Config(kept).pretty_text)
    return plain_file


def _refuse_other_files(out: Path, plain_file: Path) -> None:
    """Refuse to write over a checkpoint or config of another origin than an export."""
    exported = plain_file.is_file() and read_text(plain_file).startswith(HEADER)
    for file in (plain_file, out):
        if not exported and (file.exists() or file.is_symlink()):
            raise ValueError(
                f"{file} is there already, and no earlier export: it would be written over; "
                f"{plain_file.name} and {out.name} are written together, so name another file"
            )


def _our_types(cfg: Any) -> Iterator[str]:
    """Yield the types of a model config that this package registers."""
    if isinstance(cfg, Mapping):
        kind = cfg.get("type")
        built = MODELS.get(kind) if isinstance(kind, str) else kind
        if getattr(built, "__module__", "").startswith("mmdet_ltnorm"):
            yield kind
        cfg = list(cfg.values())
    if isinstance(cfg, list | tuple):
        for value in cfg:
            yield from _our_types(value)
