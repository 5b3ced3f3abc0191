#!/usr/bin/env python
"""Evaluate a checkpoint: python tools/test.py configs/lvis/seesaw_nbn_2x.py CHECKPOINT."""

import argparse
import os
import sys

if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun may die while this process still imports
    os.environ.setdefault("MMDET_LTNORM_PARENT", str(os.getppid()))

try:
    from mmdet_ltnorm.engine.launch import (
        POST_HOC,
        add_run_arguments,
        config_for_testing,
        test,
    )
    from mmdet_ltnorm.results.checkpoints import CheckpointError
except ImportError as error:
    sys.exit(f"{error}\n`make setup` makes an environment; `pip install -e .` adds this to yours")


def main() -> None:
    """Parse, check, evaluate."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_run_arguments(parser)
    parser.add_argument("checkpoint", help="checkpoint file or address")
    parser.add_argument(
        "--out",
        metavar="FILE.json",
        help="write the predictions, for tools/compare.py",
    )
    parser.add_argument("--show-dir", help="draw the predictions on images under the work dir")
    parser.add_argument(
        "--post", choices=POST_HOC, help="calibrate the scores of the trained model for the test"
    )
    parser.add_argument(
        "--post-strength",
        type=float,
        metavar="X",
        help="tau of logit_adjustment (default 1) and tau_norm (1), gamma of norcal (0.6); 0 "
        "changes nothing; logn has none",
    )
    args = parser.parse_args()
    try:
        cfg = config_for_testing(args)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    try:
        test(cfg)
    except (CheckpointError, OSError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
