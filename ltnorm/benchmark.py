"""Compare the training steps of configs: ltnorm benchmark CONFIG [CONFIG...].

Prints a Markdown table with the time of each part of a step, images per second, memory, and the
share of the norm layers, on the GPU if there is one. Models take turns, so that a busy machine
slows all of them alike.
"""

import argparse

from ltnorm import refused_in_a_line
from ltnorm.run_arguments import add_config_options, config_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the configs, and how often to run them."""
    parser.add_argument(
        "configs", nargs="+", type=config_file, help="config files; ratios are over the first one"
    )
    parser.add_argument(
        "--rounds", type=int, default=20, help="steps of each model; default %(default)s"
    )
    add_config_options(
        parser, "override entries of every config, e.g. train_dataloader.batch_size=8"
    )


def run(args: argparse.Namespace) -> None:
    """Measure the training steps and print the table."""
    from mmdet_ltnorm.benchmark import benchmark_table, keep_freed_memory, machine
    from mmdet_ltnorm.engine.options import read_options

    keep_freed_memory()
    with refused_in_a_line(args, OSError, ValueError):
        table = benchmark_table(args.configs, args.rounds, read_options(args.cfg_options))
    print(f"{machine()}; medians of {args.rounds} rounds [quartiles]\n\n{table}\n")
    print("Data is loaded in this process, before the step; a run's workers load it meanwhile.")
