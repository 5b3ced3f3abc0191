#!/usr/bin/env python
"""Train a model from a config: python tools/train.py configs/lvis/seesaw_nbn_2x.py."""

import argparse
import os
import sys

if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun may die while this process still imports
    os.environ.setdefault("MMDET_LTNORM_PARENT", str(os.getppid()))

try:
    from mmdet_ltnorm.engine.launch import add_run_arguments, config_for_training, train
    from mmdet_ltnorm.results.checkpoints import CheckpointError
except ImportError as error:
    sys.exit(f"{error}\n`make setup` makes an environment; `pip install -e .` adds this to yours")


def main() -> None:
    """Parse, check, train."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_run_arguments(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from a checkpoint; without a name, from the work dir's newest complete one",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision (CPU: bfloat16)")
    parser.add_argument(
        "--compile", action="store_true", help="compile training steps by torch.compile"
    )
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the lr with the total batch size, from auto_scale_lr.base_batch_size",
    )
    args = parser.parse_args()
    try:
        cfg = config_for_training(args)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    try:
        train(cfg)
    except (CheckpointError, FloatingPointError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
