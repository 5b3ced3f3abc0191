"""Arguments that commands share."""

import argparse
from pathlib import Path

# The package's own: beside this one in a clone and where both are installed.
CONFIGS = Path(__file__).resolve().parents[1] / "mmdet_ltnorm" / ".mim" / "configs"


def config_file(name: str) -> str:
    """Return the path of a config: a file, or one of the package's own as demo/cls_digits_ce."""
    own = (CONFIGS / name.removeprefix("configs/")).with_suffix(".py")
    return str(own) if own.is_file() and not Path(name).exists() else name


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing share, named as in mmdet's tools."""
    parser.add_argument(
        "config",
        type=config_file,
        help="config file, or one of the package's own as demo/cls_digits_ce",
    )
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
