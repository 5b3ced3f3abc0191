"""Train a model from a config: ltnorm train configs/lvis/seesaw_nbn_2x.py."""

import argparse

from ltnorm import refused_in_a_line
from ltnorm.run_arguments import add_run_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of all runs and those of training."""
    add_run_arguments(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="resume from a checkpoint; without a name, from the work dir's newest complete one",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision (CPU: bfloat16)")
    parser.add_argument(
        "--compile", action="store_true", help="compile training steps with torch.compile"
    )
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the lr with the total batch size, from auto_scale_lr.base_batch_size",
    )


def run(args: argparse.Namespace) -> None:
    """Check the arguments and train."""
    from mmdet_ltnorm.data.image_files import ImageError
    from mmdet_ltnorm.engine.launch import config_for_training, train
    from mmdet_ltnorm.engine.options import read_options
    from mmdet_ltnorm.engine.terminal import RefusedRun
    from mmdet_ltnorm.results.checkpoints import CheckpointError

    with refused_in_a_line(args, OSError, ValueError):
        args.cfg_options = read_options(args.cfg_options)
        cfg = config_for_training(args)
    in_words = CheckpointError, FloatingPointError, ImageError, OSError, RefusedRun
    with refused_in_a_line(args, *in_words):
        train(cfg)
