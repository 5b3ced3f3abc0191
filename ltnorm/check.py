"""Look at a config's data before anything is trained: ltnorm check CONFIG.

Prints the numbers of images and objects of each class and split, and all problems: damaged images,
sizes that differ from the annotated ones, an image in two splits or with two labels, annotations
that training would refuse, classes that differ between splits, model and metric. Exits with 1 if
there is a problem.
"""

import argparse

from ltnorm import refused_in_a_line
from ltnorm.run_arguments import add_config_options, config_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config and the options of the check."""
    parser.add_argument("config", type=config_file, help="config file")
    parser.add_argument("--out", metavar="DIR", help="write data.json, counts.png, samples.png")
    parser.add_argument(
        "--without-images", action="store_true", help="read annotations and lists only"
    )
    add_config_options(parser, "override config entries, as in training")


def run(args: argparse.Namespace) -> int:
    """Check the data, print and write the findings, and return whether there is a problem."""
    from mmdet_ltnorm.data_check import check_data
    from mmdet_ltnorm.engine.options import merge_options, read_options
    from mmdet_ltnorm.reading import read_model_config

    with refused_in_a_line(args, OSError, ValueError):
        cfg = read_model_config(args.config)
        merge_options(cfg, read_options(args.cfg_options))
        found = check_data(cfg, with_images=not args.without_images)
        print(f"\n{found.text()}")
        if args.out:
            found.write(args.out)
            print(f"\nSee {args.out}")
    return int(bool(found.findings.problems))
