#!/usr/bin/env python
"""Compare the training steps of configs: python tools/benchmark.py CONFIG [CONFIG...].

Prints a Markdown table with the time of each part of a step, images a second, memory, and the
share of the norm layers, on the GPU if there is one. Models take turns, so that all of them see the
same machine.
"""

import argparse
import sys

try:
    from mmengine.config import DictAction

    from mmdet_ltnorm.benchmark import benchmark_table, keep_freed_memory, machine
except ImportError as error:
    sys.exit(f"{error}\n`make setup` makes an environment; `pip install -e .` adds this to yours")


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="+", help="ratios are those to the first")
    parser.add_argument("--rounds", type=int, default=20, help="steps of each; default %(default)s")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE",
        help="override entries of every config, e.g. train_dataloader.batch_size=8",
    )  # fmt: skip
    args = parser.parse_args()
    keep_freed_memory()
    try:
        table = benchmark_table(args.configs, args.rounds, args.cfg_options)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    print(f"{machine()}; medians of {args.rounds} rounds [quartiles]\n\n{table}\n")
    print("Data is loaded in this process, before the step; a run's workers load it meanwhile.")


if __name__ == "__main__":
    main()
