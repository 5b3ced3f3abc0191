#!/usr/bin/env python
"""Write Shapes-LT, a procedural data set in CIFAR's file format."""

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Parse and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("out_dir", type=Path, help="the data_root of configs")
    parser.add_argument("--num-classes", type=int, default=10, help="10 to 100")
    parser.add_argument("--train-per-class", type=int, default=300, help="before the long tail")
    parser.add_argument("--test-per-class", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = vars(parser.parse_args())
    out_dir = args.pop("out_dir")
    from mmdet_ltnorm.data import make_shapes_lt

    try:
        new = make_shapes_lt(out_dir, **args)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    print(f"{'wrote' if new else 'found it in'} {out_dir}")


if __name__ == "__main__":
    main()
