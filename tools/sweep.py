#!/usr/bin/env python
"""Train configs with paired seeds and compare: python tools/sweep.py CONFIG... --seeds 0 1 2.

Scores are those of the last epoch. The same command, started again, continues where it stopped. A
config that loads work_dirs/NAME/..., as second stages do, takes this sweep's run of config NAME
with the same seed.
"""

import argparse
import sys
from pathlib import Path

try:
    from mmdet_ltnorm.processes import claim_folder, exit_on_sigterm
    from mmdet_ltnorm.sweep import (
        default_metrics,
        plan_runs,
        sweep_table,
        train_runs,
        write_report,
    )
except ModuleNotFoundError as error:
    sys.exit(f"{error}: run `make setup`, or `pip install -e .` beside torch, mmcv and mmdet")

TRAIN = [sys.executable, str(Path(__file__).with_name("train.py"))]


def main() -> int:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="+", help="the others are compared with the first")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--work-dir", default="work_dirs/sweep", help="default %(default)s")
    parser.add_argument(
        "--metrics",
        nargs="+",
        help="columns of the table; default: accuracy, or AP, by groups of classes",
    )
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="for every config"
    )
    args = parser.parse_args()
    exit_on_sigterm()
    try:
        claim_folder(args.work_dir)
        runs = plan_runs(args.configs, args.seeds, args.work_dir, args.cfg_options)
        results = train_runs(runs, TRAIN, args.jobs)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    metrics = args.metrics or default_metrics(results)
    write_report(results, metrics, args.work_dir)
    print(f"\n{sweep_table(results, metrics)}\n")
    print("Rows of configs: mean ± standard deviation; of differences: mean ± standard error.")
    print(f"See {args.work_dir}/sweep.md, .json, .csv and .png")
    return int(sum(map(len, results.values())) < len(runs))


if __name__ == "__main__":
    sys.exit(main())
