"""Evaluate a checkpoint: ltnorm test configs/lvis/seesaw_nbn_2x.py CHECKPOINT."""

import argparse

from ltnorm import refused_in_a_line
from ltnorm.run_arguments import add_run_arguments

POST_HOC = ("logn", "logit_adjustment", "tau_norm", "norcal")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of all runs and those of a test."""
    add_run_arguments(parser)
    parser.add_argument("checkpoint", help="checkpoint file or address")
    parser.add_argument(
        "--out", metavar="FILE.json", help="write the predictions, for `ltnorm compare`"
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


def run(args: argparse.Namespace) -> None:
    """Check the arguments and evaluate the checkpoint."""
    from mmdet_ltnorm.data.image_files import ImageError
    from mmdet_ltnorm.engine.launch import config_for_testing, test
    from mmdet_ltnorm.engine.options import read_options
    from mmdet_ltnorm.engine.terminal import RefusedRun
    from mmdet_ltnorm.results.checkpoints import CheckpointError

    with refused_in_a_line(args, OSError, ValueError):
        args.cfg_options = read_options(args.cfg_options)
        cfg = config_for_testing(args)
    with refused_in_a_line(args, CheckpointError, ImageError, OSError, RefusedRun):
        test(cfg)
