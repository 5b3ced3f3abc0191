"""Arguments that training and testing share."""

import argparse


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing share, named as in mmdet's tools."""
    parser.add_argument("config", help="config file")
    parser.add_argument("--work-dir", help="logs and checkpoints; default work_dirs/CONFIG_NAME")
    add_config_options(
        parser,
        "override config entries, e.g. train_cfg.max_epochs=1 'model.neck.in_channels=[1,2]'",
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help="set by torch")


def add_config_options(parser: argparse.ArgumentParser, told: str) -> None:
    """Add ``--cfg-options``, whose words mmengine reads later."""
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help=told)
