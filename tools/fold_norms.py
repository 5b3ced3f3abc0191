#!/usr/bin/env python
"""Fold a checkpoint's norms into plain ones: python tools/fold_norms.py CONFIG CHECKPOINT OUT.pth.

Writes the folded checkpoint to OUT and the config of the plain model beside it, OUT with the suffix
.py. Both work in MMDetection without this package, with outputs equal to rounding.
"""

import argparse
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint

import mmdet_ltnorm  # noqa: F401, registers the layers that the config names
from mmdet_ltnorm.surgery import fold_norms, plain_config


def main() -> None:
    """Build, load, fold, check that the plain model takes the result, and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config that the checkpoint was trained with")
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("out", type=Path, help="file to write, .pth")
    args = parser.parse_args()
    if args.out.suffix != ".pth":
        parser.error(f"out must end in .pth, got {args.out}")
    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.get("default_scope", "mmdet"))
    model = MODELS.build(cfg.model)
    checkpoint = load_checkpoint(model, args.checkpoint, map_location="cpu", strict=True)
    cfg.model = plain_config(cfg.model)
    plain = MODELS.build(cfg.model)
    plain.load_state_dict(fold_norms(model).state_dict(), strict=True)
    saved = checkpoint.get("meta", {})
    meta = {name: saved[name] for name in ("dataset_meta",) if name in saved}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": plain.state_dict(), "meta": meta}, args.out)
    kept = ("default_scope", "model", "test_dataloader")
    Config({name: cfg[name] for name in kept if name in cfg}).dump(args.out.with_suffix(".py"))
    print(
        f"wrote {args.out} and {args.out.with_suffix('.py')}: plain {cfg.model.type}, no NBN left"
    )


if __name__ == "__main__":
    main()
