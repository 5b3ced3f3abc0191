"""Train configs with paired seeds and compare: ltnorm sweep CONFIG... --seeds 0 1 2.

Scores are those of the last epoch. The same command, started again, continues where it stopped. A
config that loads work_dirs/NAME/..., as second stages do, takes this sweep's run of config NAME
with the same seed.
"""

import argparse
import sys
from pathlib import Path

from ltnorm import refused_in_a_line
from ltnorm.run_arguments import config_file

TRAIN = [sys.executable, str(Path(__file__).with_name("__main__.py")), "train"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configs and seeds."""
    parser.add_argument(
        "configs", nargs="+", type=config_file, help="config files; the first is the baseline"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--work-dir", default="work_dirs/sweep", help="default %(default)s")
    parser.add_argument(
        "--metrics",
        nargs="+",
        help="columns of the table; default: accuracy, or AP, by groups of classes",
    )
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="override entries of every config",
    )


def run(args: argparse.Namespace) -> int:
    """Train the configs, compare them and write the report."""
    from mmdet_ltnorm.processes import claim_folder, exit_on_sigterm
    from mmdet_ltnorm.sweep import (
        default_metrics,
        plan_runs,
        sweep_table,
        train_runs,
        write_report,
    )

    exit_on_sigterm()
    with refused_in_a_line(args, OSError, ValueError):
        claim_folder(args.work_dir)
        runs = plan_runs(args.configs, args.seeds, args.work_dir, args.cfg_options)
        results = train_runs(runs, TRAIN, args.jobs)
    metrics = args.metrics or default_metrics(results)
    write_report(results, metrics, args.work_dir)
    print(f"\n{sweep_table(results, metrics)}\n")
    print("Rows of configs: mean ± standard deviation; of differences: mean ± standard error.")
    print(f"See {args.work_dir}/sweep.md, .json, .csv and .png")
    return int(sum(map(len, results.values())) < len(runs))
