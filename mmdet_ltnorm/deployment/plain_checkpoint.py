"""Detectors as checkpoints for MMDetection without this package."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from mmdet_ltnorm.analysis.trained import load_model
from mmdet_ltnorm.surgery import fold_norms, plain_config
from mmdet_ltnorm.writing import replacing, write_text

KEPT = ("default_scope", "model", "test_dataloader")


def export_plain(config: str | Path, checkpoint: str | Path, out: str | Path) -> Path:
    """Write a detector's folded checkpoint, and its plain config beside it, whose path is returned.

    Both work in MMDetection without this package, with outputs equal to rounding.

    Raises:
        ValueError: the model has layers that do not fold, or is another of this package's.
    """
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
    plain_file = Path(out).with_suffix(".py")
    write_text(plain_file, Config({name: cfg[name] for name in KEPT if name in cfg}).pretty_text)
    return plain_file


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
