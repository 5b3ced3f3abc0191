#!/usr/bin/env python
"""Look at a config's data before anything is trained: python tools/check_data.py CONFIG.

Prints the images and objects of each class and split, and what is wrong: damaged images, other
sizes than annotated, one image in two splits or with two labels, annotations that training would
refuse, classes that differ between splits, model and metric. Exits with 1 if there is a problem.
"""

import argparse
import sys

try:
    from mmengine.config import DictAction

    from mmdet_ltnorm.data_check import check_data
    from mmdet_ltnorm.engine.options import merge_options
    from mmdet_ltnorm.reading import read_model_config
except ImportError as error:
    sys.exit(f"{error}\n`make setup` makes an environment; `pip install -e .` adds this to yours")


def main() -> int:
    """Check, print, write; return whether there is a problem."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file")
    parser.add_argument("--out", metavar="DIR", help="write data.json, counts.png, samples.png")
    parser.add_argument(
        "--without-images", action="store_true", help="read annotations and lists alone"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE",
        help="override config entries, as in training",
    )  # fmt: skip
    args = parser.parse_args()
    try:
        cfg = read_model_config(args.config)
        merge_options(cfg, args.cfg_options)
        found = check_data(cfg, with_images=not args.without_images)
        print(f"\n{found.text()}")
        if args.out:
            found.write(args.out)
            print(f"\nSee {args.out}")
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    return int(bool(found.findings.problems))


if __name__ == "__main__":
    sys.exit(main())
